package install

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestValuesAreRefused: a name that nobody knows is told with its path, and what would be misunderstood with the reason.
func TestValuesAreRefused(t *testing.T) {
	for want, v := range map[string]values{
		"at '/speaker': additional properties 'tolerateMastr' not allowed":   {"speaker": values{"tolerateMastr": true}},
		"additional properties 'loadBalancerclass' not allowed":              {"loadBalancerclass": "x"},
		"at '/controller/logLevel': value must be one of 'all'":              {"controller": values{"logLevel": "trace"}},
		"at '/apiserver/etcd/type': value must be one of":                    {"apiserver": values{"etcd": values{"type": "postgres"}}},
		"at '/apiserver/etcd/servers/0'":                                     {"apiserver": values{"etcd": values{"type": "external", "servers": []string{"etcd.example.com:2379"}}}},
		"at '/apiserver/image/digest'":                                       {"apiserver": values{"image": values{"digest": "latest"}}},
		"at '/fullnameOverride'":                                             {"fullnameOverride": "No_Name"},
		"at '/prometheus/metricsPort': maximum":                              {"prometheus": values{"metricsPort": 70000}},
		"at '/speaker/livenessProbe': additional properties 'httpGet'":       {"speaker": values{"livenessProbe": values{"httpGet": values{}}}},
		"at '/imagePullSecrets/0': missing property 'name'":                  {"imagePullSecrets": []values{{}}},
		"configInline is not supported":                                      {"configInline": values{"peers": []any{}}},
		"frrk8s.external is not supported":                                   {"frrk8s": values{"external": true}},
		"podMonitor.enabled and prometheus.serviceMonitor.enabled cannot":    {"prometheus": values{"podMonitor": values{"enabled": true}, "serviceMonitor": values{"enabled": true}}},
		"prometheus.serviceAccount and prometheus.namespace are required":    {"prometheus": values{"podMonitor": values{"enabled": true}, "namespace": ""}},
		"apiserver.replicas cannot be more than 1":                           {"apiserver": values{"replicas": 3}},
		"apiserver.etcd.servers is required by apiserver.etcd.type external": {"apiserver": values{"etcd": values{"type": "external"}}},
		"speaker.serviceAccount.name is always speaker":                      {"speaker": values{"serviceAccount": values{"name": "metallb-speaker"}}},
		"certManager.issuerRef needs a name":                                 {"certManager": values{"enabled": true, "issuerRef": values{"kind": "ClusterIssuer"}}},
		"at '/nameOverride'":                                                 {"nameOverride": "my lb"},
		"at '/imageRegistry'":                                                {"imageRegistry": "https://registry.example.com/"},
		"at '/tls/cipherSuites'":                                             {"tls": values{"cipherSuites": "ECDHE-ECDSA-AES128-GCM-SHA256"}},
		"at '/tls/curvePreferences'":                                         {"tls": values{"curvePreferences": "X25519"}},
		"tls.cipherSuites has no effect with tls.minVersion VersionTLS13":    {"tls": values{"minVersion": "VersionTLS13", "cipherSuites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}},
		"prometheus.podMonitor scrapes all programs in one way":              {"tls": values{"speakerMetricsTLSSecret": "metrics"}, "prometheus": monitored},
	} {
		if _, err := helm(t, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", v, err, want)
		}
	}
}

// TestValuesTakeEffect looks at what single values come to.
func TestValuesTakeEffect(t *testing.T) {
	all := map[string]manifest{}
	for name, v := range map[string]values{"metallb": metallbs, "renamed": renamed, "claimed": claimed, "tls": secured, "beside": beside, "many": {
		"imageRegistry": "mirror.example/", "tls": values{"minVersion": "VersionTLS13"},
		"apiserver": values{"image": values{"digest": "sha256:" + strings.Repeat("0", 64)}, "replicas": 0, "persistence": values{"existingClaim": "mine"}},
		"webhooks":  values{"extraArgs": []string{"--unknown-pool=pending"}, "extraContainers": []values{{"name": "beside"}}, "livenessProbe": values{"enabled": false}},
		"speaker":   values{"updateStrategy": values{"rollingUpdate": values{"maxUnavailable": "20%"}}, "excludeInterfaces": values{"interfaces": []string{"^br-"}}},
		"rbac":      values{"create": false}, "networkpolicies": values{"enabled": false}}} {
		for _, o := range objects(t, mustHelm(t, v)) {
			all[name+" "+o.String()] = o
		}
	}
	for object, parts := range map[string][]string{
		// Two on one node's network.
		"beside Deployment apiserver":              {"--metrics-address=:9124", `"containerPort":9124,"name":"monitoring"`, `"prometheus.io/port":"9124"`, `"hostNetwork":true`},
		"beside Service apiserver-monitor-service": {`"targetPort":9124`},
		"beside DaemonSet speaker":                 {"--metrics-address=:9120", `"prometheus.io/port":"9120"`},
		// TLS.
		"tls Deployment controller": {"--metrics-cert-dir=/etc/ingot/metrics", `"scheme":"HTTPS"`, `"secretName":"of-controllers"`, "--tls-min-version=VersionTLS12", "--tls-curve-preferences=29,4588"},
		"tls DaemonSet speaker":     {"--metrics-cert-dir=/etc/ingot/metrics", `"scheme":"HTTPS"`, `"secretName":"of-speakers"`, `"mountPath":"/etc/ingot/metrics"`},
		"tls Deployment apiserver":  {"--metrics-tls", `"scheme":"HTTPS"`},
		"tls PodMonitor ingot":      {`"scheme":"https"`, `"values":["etcd"]`, `"name":"metrics-reader-token"`},
		"tls ClusterRoleBinding metallb-system:metrics:auth-delegator": {`"name":"controller"`, `"name":"webhooks"`},
		"tls PodMonitor ingot-etcd":                                    {`"component":"etcd"`},
		// MetalLB's names.
		"metallb Deployment controller": {`"--log-level=debug","--lb-class=example.com/lb","--metrics-address=:9120"`, `"serviceAccountName":"metallb-controller"`,
			`"nodeSelector":{"kubernetes.io/os":"linux","of":"controllers"}`, `"tolerations":[{"key":"a","operator":"Exists"}]`, `"imagePullSecrets":[{"name":"registry"}]`, `"la":"bel"`,
			`"prometheus.io/port":"9120"`, `"prometheus.io/scrape":"true"`, `"an":"notation"`, `"strategy":{"type":"RollingUpdate"}`, `"app.kubernetes.io/name":"metallb"`,
			`"livenessProbe":{"failureThreshold":3,"httpGet":{"path":"/healthz","port":"monitoring"},"initialDelaySeconds":10,"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1}`,
			`"containerPort":9120,"name":"monitoring"`},
		"metallb ServiceAccount metallb-controller":             {`"annotations":{"an":"notation"}`},
		"metallb ClusterRoleBinding metallb-system:controller":  {`"name":"metallb-controller","namespace":"metallb-system"`},
		"metallb Deployment apiserver":                          {"--ignore-exclude-lb", "--lb-class=example.com/lb"},
		"metallb Deployment webhooks":                           {"--lb-class=example.com/lb"},
		"metallb DaemonSet speaker":                             {`"updateStrategy":{"type":"OnDelete"}`, "--log-level=none", `"--exclude-interfaces="`, `"tolerations":[{"key":"a","operator":"Exists"}]`, `"of":"speakers"`},
		"metallb ValidatingWebhookConfiguration ingot-webhooks": {`has(object.spec.loadBalancerClass) \u0026\u0026 object.spec.loadBalancerClass == \"example.com/lb\"`},
		"metallb NetworkPolicy default-deny":                    {`"podSelector":{}`},
		"metallb NetworkPolicy egress":                          {`{"port":443,"protocol":"TCP"}]`},
		"metallb ServiceMonitor speaker-monitor":                {`"of":"speaker"`, `"an":"notation"`, `"ingot.io/monitor":"speaker"`},
		"metallb Service speaker-monitor-service":               {`"ingot.io/monitor":"speaker"`, `"clusterIP":"None"`},
		"metallb RoleBinding prometheus-k8s":                    {`"name":"prometheus","namespace":"observing"`},
		"metallb PrometheusRule ingot":                          {`"alert":"MetalLBAddressPoolUsage80Percent"`, `metallb_allocator_addresses_in_use_total{pool!~\"test-.*\"}`, `"severity":"page"`, "IngotNoLeader"},
		"renamed DaemonSet lb-speaker":                          {"--dispatch=lb-apiserver-dispatch.metallb-system.svc:7473", "--dispatch-server-name=lb-apiserver.metallb-system.svc", `"secretName":"lb-apiserver-tls"`, `"serviceAccountName":"speaker"`},
		"renamed Deployment lb-apiserver":                       {"--service-name=lb-apiserver", "--webhooks-service-name=lb-webhooks", "https://lb-etcd-4.lb-etcd.metallb-system.svc:2379", `"replicas":3`},
		"renamed Deployment lb-webhooks":                        {"--service-name=lb-webhooks"},
		"renamed APIService v1beta1.metallb.io":                 {`"name":"lb-apiserver"`, `"cert-manager.io/inject-ca-from":"metallb-system/lb-apiserver"`},
		"renamed Certificate lb-webhooks":                       {`"issuerRef":{"kind":"ClusterIssuer","name":"corporate"}`, "lb-webhooks.metallb-system.svc", `"secretName":"lb-webhooks-tls"`},
		"renamed Role lb-webhooks":                              {`"lb-webhooks-tls"`},
		"renamed StatefulSet lb-etcd":                           {"lb-etcd-0=https://lb-etcd-0.lb-etcd.metallb-system.svc:2380", `"storageClassName":""`, `"replicas":5`},
		"renamed ClusterRole metallb-system:apiserver":          {`"resourceNames":["metallb-system:apiserver"]`},
		"claimed PersistentVolumeClaim lb-apiserver-data":       {`"storageClassName":"fast"`, `"storage":"2Gi"`},
		"claimed Deployment lb-apiserver":                       {`"--webhooks-service-name="`, "--certificate-lifetime=24h", "--ca-lifetime=720h", "--ca-overlap=12h", `"claimName":"lb-apiserver-data"`},
		"many Deployment apiserver":                             {`"image":"mirror.example/images.example/apiserver@sha256:0000`, `"replicas":0`, `"claimName":"mine"`},
		"many Deployment webhooks":                              {"--unknown-pool=pending", `{"name":"beside"}`, "--tls-min-version=VersionTLS13"},
		"many DaemonSet speaker":                                {`"rollingUpdate":{"maxUnavailable":"20%"},"type":"RollingUpdate"`},
		"many ConfigMap metallb-excludel2":                      {`announcedInterfacesToExclude: [\"^br-\"]`},
	} {
		o, ok := all[object]
		if !ok {
			t.Errorf("no %s", object)
			continue
		}
		content, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(content), part) {
				t.Errorf("%s: no %s in %s", object, part, content)
			}
		}
	}
	for _, object := range []string{"claimed Deployment lb-webhooks", "claimed ValidatingWebhookConfiguration ingot-webhooks", "metallb ConfigMap metallb-excludel2", "many ClusterRole metallb-system:apiserver",
		"many NetworkPolicy apiserver", "many PersistentVolumeClaim apiserver-data", "renamed Issuer ingot-root"} {
		if o, ok := all[object]; ok {
			t.Errorf("%s is there: %v", object, o)
		}
	}
}

// TestOtherNamespace: nothing names the system namespace where the release is in another one.
func TestOtherNamespace(t *testing.T) {
	for name, v := range map[string]values{"default": nil, "everything": {"apiserver": values{"etcd": values{"type": "statefulset"}}, "certManager": values{"enabled": true}, "prometheus": monitored, "networkpolicies": values{"defaultDeny": true}}} {
		out, err := run("", program("tools/helm"), "template", "ingot", "../../deploy/chart", "--namespace=balancing", "--values="+valuesFile(t, v))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, out) {
			if o.kind() == "PrometheusRule" {
				continue // its words are for people
			}
			content, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(content), system) {
				t.Errorf("%s: %s names %s: %s", name, o, system, content)
			}
		}
	}
}

// TestValuesAreDescribed: the schema knows every value, and says what it is.
func TestValuesAreDescribed(t *testing.T) {
	v, schema := values{}, manifest{}
	for path, to := range map[string]any{"../../deploy/chart/values.yaml": &v, "../../deploy/chart/values.schema.json": &schema} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(content, to); err != nil {
			t.Fatal(path, err)
		}
	}
	known := 0
	var follow func(path string, v values, s manifest)
	follow = func(path string, v values, s manifest) {
		if ref := s.text("$ref"); ref != "" {
			s = manifest(schema.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any))
		}
		if s.text("description") == "" {
			t.Errorf("the schema does not say what %s is", path)
		}
		known++
		properties, fixed := s["properties"].(map[string]any)
		if !fixed {
			return
		}
		if more, ok := s["additionalProperties"].(bool); more || !ok {
			t.Errorf("the schema permits anything under %s", path)
		}
		for key, value := range v {
			p, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("the schema does not know %s.%s", path, key)
				continue
			}
			deeper, _ := value.(map[string]any)
			follow(path+"."+key, deeper, p)
		}
		for key, p := range properties {
			if _, ok := v[key]; !ok {
				follow(path+"."+key, nil, p.(map[string]any))
			}
		}
	}
	schema["description"] = "all"
	follow("", v, schema)
	if known < 200 {
		t.Errorf("only %d values: %s", known, fmt.Sprint(v))
	}
}

// TestLint is helm's own opinion, of the defaults and of all values that tests know.
func TestLint(t *testing.T) {
	all := []values{nil, metallbs, renamed, claimed}
	for _, c := range charts {
		all = append(all, c.values)
	}
	for _, v := range all {
		if _, err := run("", program("tools/helm"), "lint", "--strict", "../../deploy/chart", "--namespace="+system, "--values="+valuesFile(t, v)); err != nil {
			t.Error(err)
		}
	}
}

// TestDocumentedValues renders what docs/install-helm.md has for a file.
func TestDocumentedValues(t *testing.T) {
	docs, err := os.ReadFile("../../docs/install-helm.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(docs), "```yaml\n")
	block, _, closed := strings.Cut(block, "```")
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(block), 0o600); err != nil || !found || !closed {
		t.Fatal(err, found, closed)
	}
	out, err := run("", program("tools/helm"), "template", "ingot", "../../deploy/chart", "--namespace="+system, "--values="+path)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"image: registry.example.com/ingot/speaker:", "kind: PodMonitor", "alert: MetalLBBGPSessionDown", `path: "?/var/lib/ingot`} {
		if !regexp.MustCompile(part).MatchString(out) {
			t.Errorf("no %s", part)
		}
	}
}
