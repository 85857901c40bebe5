package render

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ingot-lb/ingot/deploy"
)

// shippedNamespace is the one that the manifests are written for.
const shippedNamespace = "metallb-system"

// files are those of the manifests that have something to be made, each object by its label component.
var files = []string{"network-policies.yaml", "speaker.yaml", "controller.yaml", "webhooks.yaml"}

// manifests are the shipped objects that belong to a MetalLB object, by component, each workload last. The ConfigMap of
// interfaces that layer 2 leaves alone has no component: it is its user's to write.
var manifests = sync.OnceValues(func() (map[string][]*unstructured.Unstructured, error) {
	all, workloads := map[string][]*unstructured.Unstructured{}, map[string]*unstructured.Unstructured{}
	for _, name := range files {
		content, err := fs.ReadFile(deploy.Base(), name)
		if err != nil {
			return nil, fmt.Errorf("the manifests in this program: %w", err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("the manifest %s in this program: %w", name, err)
			}
			o := &unstructured.Unstructured{}
			if err := utilyaml.Unmarshal(document, &o.Object); err != nil {
				return nil, fmt.Errorf("the manifest %s in this program: %w", name, err)
			}
			component := o.GetLabels()["component"]
			switch kind := o.GetKind(); {
			case kind == "Deployment" || kind == "DaemonSet":
				workloads[component] = o
			case component != "":
				all[component] = append(all[component], o)
			}
		}
	}
	for _, component := range Components {
		if workloads[component] == nil {
			return nil, fmt.Errorf("the manifests in this program have no workload of %s", component)
		}
		all[component] = append(all[component], workloads[component])
	}
	return all, nil
})

// relocate puts another namespace in the place of the shipped one, wherever a value is that namespace or a name in the cluster's
// DNS in it.
func relocate(value any, namespace string) any {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = relocate(element, namespace)
		}
	case []any:
		for i, element := range v {
			v[i] = relocate(element, namespace)
		}
	case string:
		if v == shippedNamespace {
			return namespace
		}
		return strings.ReplaceAll(v, "."+shippedNamespace+".svc", "."+namespace+".svc")
	}
	return value
}
