package install

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// values are what a user writes into a file for helm.
type values = map[string]any

// charts are the values of deploy/chart that come to the same as kustomizations of deploy/ do.
var charts = []struct {
	rendering
	values values
}{
	{rendering{"base", "base", nil}, nil},
	{rendering{"single with components", "single", []string{"enforce", "egress", "monitoring"}}, values{
		"apiserver": values{"persistence": values{"type": "hostPath"}}, "webhooks": values{"enforce": true},
		"networkpolicies": values{"egress": true}, "prometheus": monitored}},
	{rendering{"metrics over TLS", "single", []string{"monitoring", "metrics-tls"}}, values{
		"apiserver":  values{"persistence": values{"type": "hostPath"}},
		"prometheus": values{"metricsTLS": true, "podMonitor": values{"enabled": true}, "prometheusRule": values{"enabled": true}}}},
	{rendering{"external etcd with components", "external-etcd", []string{"cert-manager", "monitoring"}}, values{
		"apiserver":   values{"etcd": values{"type": "external", "servers": []string{"https://etcd.example.com:2379"}}},
		"certManager": values{"enabled": true}, "prometheus": monitored}},
	{rendering{"replicas", "replicas", nil}, values{"apiserver": values{"etcd": values{"type": "statefulset"}}}},
	{rendering{"replicas with components", "replicas", []string{"cert-manager", "cert-manager-etcd", "enforce"}}, values{
		"apiserver":   values{"etcd": values{"type": "statefulset"}},
		"certManager": values{"enabled": true}, "webhooks": values{"enforce": true}}},
}

var monitored = values{"podMonitor": values{"enabled": true}, "prometheusRule": values{"enabled": true}}

// More values, which no kustomization has.
var (
	// metallbs has a value for every name of MetalLB's chart, as somebody has it who wrote down all of them.
	metallbs = values{
		"imagePullSecrets": []values{{"name": "registry"}}, "nameOverride": "metallb", "loadBalancerClass": "example.com/lb", "rbac": values{"create": true},
		"tls": values{"cipherSuites": "", "curvePreferences": "", "minVersion": "", "controllerMetricsTLSSecret": "", "speakerMetricsTLSSecret": ""},
		"prometheus": values{"scrapeAnnotations": true, "metricsPort": 9120, "rbacPrometheus": true, "serviceAccount": "prometheus", "namespace": "observing",
			"podMonitor": values{"enabled": false, "additionalLabels": values{}, "annotations": values{}, "jobLabel": "app.kubernetes.io/name", "interval": nil, "metricRelabelings": []any{}, "relabelings": []any{}},
			"serviceMonitor": values{"enabled": true, "jobLabel": "app.kubernetes.io/name", "interval": nil, "metricRelabelings": []any{}, "relabelings": []any{},
				"speaker":    values{"additionalLabels": values{"of": "speaker"}, "annotations": values{"an": "notation"}, "tlsConfig": values{}},
				"controller": values{"additionalLabels": values{}, "annotations": values{}, "tlsConfig": values{}}},
			"prometheusRule": values{"enabled": true, "additionalLabels": values{}, "annotations": values{}, "extraAlerts": []any{},
				"staleConfig":          values{"enabled": true, "labels": values{"severity": "warning"}},
				"configNotLoaded":      values{"enabled": true, "labels": values{"severity": "warning"}},
				"addressPoolExhausted": values{"enabled": true, "labels": values{"severity": "critical"}, "excludePools": "test-.*"},
				"addressPoolUsage":     values{"enabled": true, "thresholds": []values{{"percent": 80, "labels": values{"severity": "page"}}}, "excludePools": "test-.*"},
				"bgpSessionDown":       values{"enabled": true, "labels": values{"severity": "critical"}}}},
		"controller": values{"enabled": true, "logLevel": "debug", "command": "/controller", "webhookMode": "enabled", "strategy": values{"type": "RollingUpdate"},
			"serviceAccount":  values{"create": true, "name": "metallb-controller", "annotations": values{"an": "notation"}},
			"securityContext": values{"runAsNonRoot": true, "runAsUser": 65534, "fsGroup": 65534}, "resources": values{}, "nodeSelector": values{"of": "controllers"},
			"tolerations": []values{{"key": "a", "operator": "Exists"}}, "runtimeClassName": "", "affinity": values{},
			"podAnnotations": values{"an": "notation"}, "labels": values{"la": "bel"}, "extraContainers": []any{}, "livenessProbe": metallbsProbe, "readinessProbe": metallbsProbe},
		"speaker": values{"enabled": true, "logLevel": "none", "command": "/speaker", "tolerateMaster": false, "ignoreExcludeLB": true, "bgpDebounceTimeout": nil, "secretName": "memberlist",
			"memberlist":        values{"enabled": true, "mlBindPort": 7946, "mlBindAddrOverride": "", "mlSecretKeyPath": "/etc/ml_secret_key"},
			"excludeInterfaces": values{"enabled": false}, "updateStrategy": values{"type": "OnDelete"}, "serviceAccount": values{"create": true, "name": "", "annotations": values{}},
			"securityContext": values{}, "resources": values{}, "nodeSelector": values{"of": "speakers"}, "tolerations": []values{{"key": "a", "operator": "Exists"}},
			"affinity": values{}, "runtimeClassName": "", "podAnnotations": values{}, "labels": values{}, "livenessProbe": metallbsProbe, "readinessProbe": metallbsProbe,
			"startupProbe": values{"enabled": true, "failureThreshold": 30, "periodSeconds": 5},
			"frr":          values{"enabled": false, "image": values{"repository": "frr", "tag": "10"}, "metricsPort": 9121, "resources": values{}},
			"reloader":     values{"resources": values{}}, "frrMetrics": values{"resources": values{}}, "initContainers": values{"cpFrrFiles": values{"resources": values{}}}, "extraContainers": []any{}},
		"crds": values{"enabled": true, "validationFailurePolicy": "Fail"}, "frrk8s": values{"enabled": true, "external": false, "namespace": ""}, "frr-k8s": values{},
		"networkpolicies": values{"enabled": true, "defaultDeny": true, "apiPort": 443},
	}
	metallbsProbe = values{"enabled": true, "failureThreshold": 3, "initialDelaySeconds": 10, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}

	// renamed has other names, a CA of somebody else, and all of the egress policies.
	renamed = values{"fullnameOverride": "lb", "certManager": values{"enabled": true, "issuerRef": values{"kind": "ClusterIssuer", "name": "corporate"}},
		"networkpolicies": values{"defaultDeny": true}, "prometheus": monitored, "apiserver": values{"etcd": values{"type": "statefulset", "statefulset": values{"replicas": 5, "storageClass": "-"}}}}
	// beside has the apiserver on the network of a node that has a speaker.
	beside = values{"apiserver": values{"persistence": values{"type": "hostPath"}}, "prometheus": values{"metricsPort": 9120, "scrapeAnnotations": true, "serviceMonitor": values{"enabled": true}}}
	// secured serves metrics over TLS.
	secured = values{"tls": values{"minVersion": "VersionTLS12", "curvePreferences": "29,4588", "controllerMetricsTLSSecret": "of-controllers", "speakerMetricsTLSSecret": "of-speakers"},
		"prometheus": values{"metricsTLS": true, "podMonitor": values{"enabled": true}}, "apiserver": values{"etcd": values{"type": "statefulset"}}}
	// claimed keeps the store in a volume of a class.
	claimed = values{"fullnameOverride": "lb", "apiserver": values{"persistence": values{"storageClass": "fast", "size": "2Gi", "retain": false},
		"certificates": values{"lifetime": "24h", "caLifetime": "720h", "caOverlap": "12h"}}, "webhooks": values{"enabled": false}}
)

// way is anything that a user may apply.
type way struct {
	name   string
	render func(testing.TB) string
	// alone is what would be in the way of others, for its names.
	alone bool
}

// ways are all kustomizations, and then the chart.
func ways() (all []way) {
	for _, r := range renderings {
		all = append(all, way{name: r.name, render: r.render})
	}
	add := func(name string, v values, alone bool) {
		all = append(all, way{"chart: " + name, func(t testing.TB) string { return mustHelm(t, v) }, alone})
	}
	add("MetalLB's values", metallbs, false)
	add("TLS", secured, false)
	add("other names", renamed, true)
	add("a claim of a class", claimed, true)
	for _, c := range charts {
		add(c.name, c.values, false)
	}
	return all
}

// helm renders the chart for a release ingot in the system namespace, with the images of the tests.
func helm(t testing.TB, v values) (string, error) {
	t.Helper()
	return run("", program("tools/helm"), "template", "ingot", "../../deploy/chart", "--namespace="+system, "--values="+valuesFile(t, v))
}

// valuesFile writes values to a file, with the images of the tests.
func valuesFile(t testing.TB, v values) string {
	t.Helper()
	all := values{}
	for _, more := range []values{imageValues(), v} {
		merge(all, more)
	}
	content, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func imageValues() values {
	v := values{}
	for name, image := range images {
		repository, tag, _ := strings.Cut(image, ":")
		v[strings.TrimPrefix(name, "ingot/")] = values{"image": values{"repository": repository, "tag": tag}}
	}
	return v
}

// merge puts more into v, key by key, as helm does with files of values.
func merge(v, more values) {
	for key, value := range more {
		deeper, isMap := value.(values)
		before, wasMap := v[key].(values)
		if isMap && wasMap {
			before = maps.Clone(before)
			merge(before, deeper)
			value = before
		}
		v[key] = value
	}
}

func mustHelm(t testing.TB, v values) string {
	t.Helper()
	out, err := helm(t, v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestChartIsTheKustomizations compares objects. What may differ is named, and taken out of them, by alike.
func TestChartIsTheKustomizations(t *testing.T) {
	for _, c := range charts {
		t.Run(c.name, func(t *testing.T) {
			want, got := alike(t, c.render(t)), alike(t, mustHelm(t, c.values))
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if _, ok := got[name]; !ok {
					t.Errorf("the chart does not have %s", name)
				} else if diff := cmp.Diff(want[name], got[name]); diff != "" {
					t.Errorf("%s (-kustomize +helm):\n%s", name, diff)
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok {
					t.Errorf("only the chart has %s", name)
				}
			}
		})
	}
}

// alike are the rendered objects by name, without what may differ: the Namespace, which helm makes by a flag; the way in which URLs of
// an etcd get into arguments; labels of helm's; and how long a claim is kept.
func alike(t *testing.T, rendered string) map[string]any {
	t.Helper()
	servers, all := "", map[string]any{}
	rest := slices.DeleteFunc(objects(t, rendered), func(o manifest) bool {
		if o.kind() == "ConfigMap" && strings.HasPrefix(o.name(), "etcd-") {
			servers = o.text("data", "servers")
			return true
		}
		return o.kind() == "Namespace"
	})
	for _, o := range rest {
		withoutHelm(o.at("metadata", "labels"))
		withoutHelm(o.at("spec", "template", "metadata", "labels"))
		if annotations, _ := o.at("metadata", "annotations").(map[string]any); annotations["helm.sh/resource-policy"] == "keep" && o.kind() == "PersistentVolumeClaim" {
			delete(o["metadata"].(map[string]any), "annotations")
		}
		for _, container := range o.list("spec", "template", "spec", "containers") {
			args := []any{}
			for _, arg := range anys(container["args"]) {
				args = append(args, strings.ReplaceAll(fmt.Sprint(arg), "$(ETCD_SERVERS)", servers))
			}
			if container["name"] != "frr" && !strings.Contains(fmt.Sprint(args...), "--initial-cluster") {
				// The order of flags means nothing.
				slices.SortFunc(args, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			container["args"] = args
			env := slices.DeleteFunc(anys(container["env"]), func(v any) bool { return v.(map[string]any)["name"] == "ETCD_SERVERS" })
			container["env"] = env
			byName(container["volumeMounts"])
		}
		byName(o.at("spec", "template", "spec", "volumes"))
		all[o.String()+" in "+o.text("metadata", "namespace")] = map[string]any(o)
	}
	return all
}

// withoutHelm takes out labels that only the chart has.
func withoutHelm(labels any) {
	l, _ := labels.(map[string]any)
	maps.DeleteFunc(l, func(key string, _ any) bool {
		return strings.HasPrefix(key, "helm.sh/") || strings.HasPrefix(key, "app.kubernetes.io/") && key != "app.kubernetes.io/component"
	})
}

func anys(list any) []any {
	all, _ := list.([]any)
	return slices.Clone(all)
}

// byName sorts a list whose order means nothing.
func byName(list any) {
	all, _ := list.([]any)
	slices.SortFunc(all, func(a, b any) int {
		return strings.Compare(fmt.Sprint(a.(map[string]any)["name"]), fmt.Sprint(b.(map[string]any)["name"]))
	})
}
