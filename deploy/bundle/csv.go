package bundle

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

//go:embed text/description.md
var about string

//go:embed text/icon.svg
var icon []byte

const source = "https://github.com/ingot-lb/ingot"

// certificates is where OLM mounts what it issues for an API.
const certificates = "/apiserver.local.config/certificates/apiserver"

// csv is the ClusterServiceVersion. Fields are those of https://olm.operatorframework.io/docs/concepts/crds/clusterserviceversion/.
func (o Options) csv(p parts) (map[string]any, error) {
	annotations, err := o.annotations()
	if err != nil {
		return nil, err
	}
	apis, err := owned()
	if err != nil {
		return nil, err
	}
	inNamespace, inCluster, err := p.access.permissions()
	if err != nil {
		return nil, err
	}
	used := map[string]string{}
	var deployments []any
	for _, d := range p.deployments {
		one, err := o.deployment(d, used)
		if err != nil {
			return nil, err
		}
		deployments = append(deployments, one)
	}
	var images []any
	for _, name := range slices.Sorted(maps.Keys(used)) {
		images = append(images, map[string]any{"name": name, "image": used[name]})
	}
	mode := func(name string, supported bool) any { return map[string]any{"type": name, "supported": supported} }
	return map[string]any{
		"apiVersion": "operators.coreos.com/v1alpha1", "kind": "ClusterServiceVersion",
		"metadata": map[string]any{
			"name": Package + ".v" + o.Version, "annotations": annotations,
			"labels": map[string]any{"operatorframework.io/arch.amd64": "supported", "operatorframework.io/arch.arm64": "supported", "operatorframework.io/os.linux": "supported"},
		},
		"spec": map[string]any{
			"displayName": "MetalLB Operator (Ingot)", "description": about, "version": o.Version,
			"maturity": "alpha", "minKubeVersion": "1.30.0", "provider": map[string]any{"name": "Ingot", "url": source},
			"keywords": []any{"metallb", "load balancer", "bare metal", "BGP", "BFD", "ARP", "NDP"},
			"links":    []any{map[string]any{"name": "Ingot", "url": source}, map[string]any{"name": "Documentation", "url": source + "/tree/main/docs"}},
			"icon":     []any{map[string]any{"base64data": base64.StdEncoding.EncodeToString(icon), "mediatype": "image/svg+xml"}},
			// In the others OLM would grant in all namespaces what is asked for in one, such as reading Secrets.
			"installModes":          []any{mode("OwnNamespace", true), mode("SingleNamespace", false), mode("MultiNamespace", false), mode("AllNamespaces", false)},
			"apiservicedefinitions": map[string]any{"owned": apis},
			"install": map[string]any{"strategy": "deployment", "spec": map[string]any{
				"deployments": deployments, "permissions": inNamespace, "clusterPermissions": inCluster,
			}},
			"relatedImages": images,
		},
	}, nil
}

func (o Options) annotations() (map[string]any, error) {
	all, err := examples(o.Kinds)
	if err != nil {
		return nil, err
	}
	hidden, err := readOnly(all)
	if err != nil {
		return nil, err
	}
	example, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, err
	}
	first, err := json.Marshal(all[0])
	if err != nil {
		return nil, err
	}
	suggested, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": namespace, "labels": map[string]string{"pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/audit": "privileged", "pod-security.kubernetes.io/warn": "privileged"},
	}})
	if err != nil {
		return nil, err
	}
	annotations := map[string]any{
		"alm-examples": string(example), "capabilities": "Basic Install", "categories": "Networking", "certified": "false",
		"containerImage": o.image("ingot/controller"), "repository": source, "support": "Ingot",
		"description": "Addresses for Services of type LoadBalancer on bare metal, announced by ARP, NDP and BGP.",
		"operatorframework.io/suggested-namespace":          namespace,
		"operatorframework.io/suggested-namespace-template": string(suggested),
		"operatorframework.io/initialization-resource":      string(first),
		"operators.operatorframework.io/internal-objects":   hidden,
		"features.operators.openshift.io/disconnected":      "true",
	}
	for _, feature := range []string{"fips-compliant", "proxy-aware", "tls-profiles", "token-auth-aws", "token-auth-azure", "token-auth-gcp", "cnf", "cni", "csi"} {
		annotations["features.operators.openshift.io/"+feature] = "false"
	}
	if o.Created != "" {
		annotations["createdAt"] = o.Created
	}
	if o.Version != Unreleased {
		annotations["olm.skipRange"] = "<" + o.Version
	}
	return annotations, nil
}

// deployment is one of the rendering as OLM takes it. It notes which images it names.
func (o Options) deployment(d *object, used map[string]string) (map[string]any, error) {
	spec, _, err := unstructured.NestedMap(d.Object, "spec")
	if err != nil {
		return nil, fmt.Errorf("the Deployment %s: %w", d.GetName(), err)
	}
	o.place(spec, used)
	if err := o.tell(d.GetName(), spec); err != nil {
		return nil, fmt.Errorf("the Deployment %s: %w", d.GetName(), err)
	}
	labels := map[string]any{}
	for name, value := range d.GetLabels() {
		labels[name] = value
	}
	return map[string]any{"name": d.GetName(), "label": labels, "spec": spec}, nil
}

// tell gives a program what it has to know under OLM: the apiserver, what is OLM's to make, and the operator, which apiserver OLM
// brings with it, so that an upgrade waits for that one.
func (o Options) tell(deployment string, spec map[string]any) error {
	containers, _, err := unstructured.NestedSlice(spec, "template", "spec", "containers")
	if err != nil {
		return err
	}
	if len(containers) != 1 {
		return fmt.Errorf("%d containers, one of which would have to be told", len(containers))
	}
	container := containers[0].(map[string]any)
	switch deployment {
	case "apiserver":
		args, _ := container["args"].([]any)
		container["args"] = append(args, "--create-apiservices=false", "--api-tls-cert-file="+certificates+".crt", "--api-tls-private-key-file="+certificates+".key")
	case Package + "-controller-manager":
		variables, _ := container["env"].([]any)
		container["env"] = append(variables, map[string]any{"name": "APISERVER_IMAGE", "value": o.image("ingot/apiserver")})
	default:
		return fmt.Errorf("nothing is known of it in a bundle")
	}
	return unstructured.SetNestedSlice(spec, containers, "template", "spec", "containers")
}

// place puts where images are in the place of their names, in environment variables, too.
func (o Options) place(value any, used map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			if name, ok := element.(string); ok && strings.HasPrefix(name, "ingot/") {
				v[key] = o.image(name)
				used[strings.TrimPrefix(name, "ingot/")] = o.image(name)
			}
			o.place(element, used)
		}
	case []any:
		for _, element := range v {
			o.place(element, used)
		}
	}
}

func (o Options) image(name string) string {
	if o.Tag != "" {
		name += ":" + o.Tag
	}
	return o.Registry + name
}
