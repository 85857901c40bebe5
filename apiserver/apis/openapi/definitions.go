package openapi

import (
	"reflect"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// ours begins the names of the definitions of the group.
const ours = "io.metallb."

// Definitions are the generated definitions without what the generator makes up: it gives every field that Go cannot leave out
// its zero value for a default, which would be wrong of fields that users must set ("myASN, required, default 0").
func Definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := GetOpenAPIDefinitions(ref)
	for name, definition := range all {
		if !strings.HasPrefix(name, ours) {
			continue
		}
		for _, field := range definition.Schema.Required {
			if p := definition.Schema.Properties[field]; isZero(p.Default) {
				p.Default = nil
				definition.Schema.Properties[field] = p
			}
		}
		for field, p := range definition.Schema.Properties {
			if p.Items != nil && p.Items.Schema != nil && isZero(p.Items.Schema.Default) {
				p.Items = &spec.SchemaOrArray{Schema: withoutDefault(*p.Items.Schema)}
				definition.Schema.Properties[field] = p
			}
		}
	}
	return all
}

func isZero(value any) bool {
	if m, ok := value.(map[string]any); ok {
		return len(m) == 0
	}
	return value != nil && reflect.ValueOf(value).IsZero()
}

func withoutDefault(s spec.Schema) *spec.Schema {
	s.Default = nil
	return &s
}
