package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/apis/openapi"
)

// served are all kinds in all versions in which the apiserver has them.
func served() []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for gvk, t := range install.Scheme.AllKnownTypes() {
		if gvk.Group == metallb.GroupName && gvk.Version != runtime.APIVersionInternal && strings.Contains(t.PkgPath(), "apis/metallb/") && !strings.HasSuffix(gvk.Kind, "List") {
			kinds = append(kinds, gvk)
		}
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int {
		return strings.Compare(a.Kind+" "+a.Version, b.Kind+" "+b.Version)
	})
	return kinds
}

// owned is what the ClusterServiceVersion says of each.
func owned() ([]any, error) {
	descriptions := map[string]string{}
	for name, d := range openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef(path) }) {
		descriptions[name] = description(d)
	}
	var all []any
	for _, gvk := range served() {
		object, err := install.Scheme.New(gvk)
		if err != nil {
			return nil, err
		}
		named, ok := object.(interface{ OpenAPIModelName() string })
		if !ok || descriptions[named.OpenAPIModelName()] == "" {
			return nil, fmt.Errorf("%v has no description", gvk)
		}
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		all = append(all, map[string]any{
			"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind, "name": plural.Resource,
			"displayName": gvk.Kind, "description": descriptions[named.OpenAPIModelName()],
			"deploymentName": "apiserver", "containerPort": int64(10443),
		})
	}
	return all, nil
}

// description is the first sentence or two of what the API says of a type, without line breaks.
func description(d common.OpenAPIDefinition) string {
	first, _, _ := strings.Cut(d.Schema.Description, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

var fenced = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// examples are those of docs/kinds.md, and of the versions that it does not show. What is only read has none. The MetalLB object comes
// first, which the operator waits for.
func examples(page []byte) (all []map[string]any, err error) {
	for _, block := range fenced.FindAllSubmatch(page, -1) {
		for document := range strings.SplitSeq(string(block[1]), "---\n") {
			var o map[string]any
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				return nil, fmt.Errorf("an example of docs/kinds.md: %w", err)
			}
			if version, _ := o["apiVersion"].(string); strings.HasPrefix(version, metallb.GroupName+"/") {
				all = append(all, renamed(o).(map[string]any))
			}
		}
	}
	all = append(all, map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": map[string]any{"name": "example", "namespace": namespace},
		"spec": map[string]any{"myASN": 64512, "peerASN": 64513, "peerAddress": "198.18.30.1"},
	})
	for _, o := range all {
		if o["kind"] == "AddressPool" && o["apiVersion"] == "metallb.io/v1alpha1" {
			newer := maps.Clone(o)
			newer["apiVersion"] = "metallb.io/v1beta1"
			all = append(all, newer)
		}
	}
	slices.SortStableFunc(all, func(a, b map[string]any) int {
		first := func(o map[string]any) int { return map[bool]int{true: 0, false: 1}[o["kind"] == "MetalLB"] }
		return first(a) - first(b)
	})
	return all, nil
}

// renamed gives objects the name that says what they are, wherever one names another.
func renamed(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = renamed(element)
		}
	case []any:
		for i, element := range v {
			v[i] = renamed(element)
		}
	case string:
		if v == "kinds" {
			return "example"
		}
	}
	return value
}

// readOnly are the resources that users do not make, by the names that consoles hide.
func readOnly(examples []map[string]any) (string, error) {
	written := map[string]bool{}
	for _, o := range examples {
		written[o["kind"].(string)] = true
	}
	var hidden []string
	for _, gvk := range served() {
		if plural, _ := meta.UnsafeGuessKindToResource(gvk); !written[gvk.Kind] {
			hidden = append(hidden, plural.Resource+"."+gvk.Group)
		}
	}
	text, err := json.Marshal(hidden)
	return string(text), err
}
