package admitted

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
)

// Namespace is where objects are.
const Namespace = "metallb-system"

// Kinds are those that users write, in every served version, in a stable order. They are read from the scheme, so that
// new kinds are here by themselves.
func Kinds() []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for gvk, t := range install.Scheme.AllKnownTypes() {
		if gvk.Group != metallb.GroupName || gvk.Version == runtime.APIVersionInternal {
			continue
		}
		_, isObject := reflect.New(t).Interface().(metav1.Object)
		_, hasSpec := t.FieldByName("Spec")
		internal, err := install.Scheme.New(metallb.SchemeGroupVersion.WithKind(gvk.Kind))
		if !isObject || !hasSpec || err != nil {
			continue
		}
		if _, configures := internal.(metallb.Conditioned); configures { // the ledger is the controller's to write
			kinds = append(kinds, gvk)
		}
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	return kinds
}

// Text is an object of some kind as a user could have written it, in JSON or YAML: of the right shape for the most part,
// and about right in what it says.
func Text(c *Choices) []byte {
	gvk := pick(c, Kinds())
	tree := c.value(reflect.TypeOf(must(install.Scheme.New(gvk))).Elem(), "", 0).(map[string]any)
	tree["apiVersion"], tree["kind"] = gvk.GroupVersion().String(), gvk.Kind
	tree["metadata"] = c.metadata()
	if c.Once(20) {
		c.damage(tree)
	}
	text := must(json.Marshal(tree))
	if c.Once(4) {
		if block, err := yaml.JSONToYAML(text); err == nil { // some text cannot be written in YAML
			text = block
		}
	}
	return text
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // the generator's own mistake
	}
	return value
}

func (c *Choices) metadata() map[string]any {
	meta := map[string]any{"name": pick(c, names), "namespace": Namespace}
	for _, field := range []string{"labels", "annotations"} {
		if c.Once(3) {
			meta[field] = c.mapping(field)
		}
	}
	if c.Once(20) {
		meta["finalizers"] = []any{"example.com/" + pick(c, names)}
	}
	return meta
}

func (c *Choices) mapping(field string) map[string]any {
	m := map[string]any{}
	for range 1 + c.N(2) {
		m[pick(c, keys[field])] = c.word(field)
	}
	return m
}

// value is JSON for a type of the API; field is the name of what holds it.
func (c *Choices) value(t reflect.Type, field string, depth int) any {
	switch t.Kind() {
	case reflect.Pointer:
		return c.value(t.Elem(), field, depth)
	case reflect.Struct:
		return c.object(t, depth)
	case reflect.Slice:
		list := []any{}
		for range []int{1, 1, 1, 2, 3, 0}[c.N(6)] {
			list = append(list, c.value(t.Elem(), field, depth+1))
		}
		return list
	case reflect.Map:
		if len(keys[field]) == 0 {
			return map[string]any{pick(c, names): c.word(field)}
		}
		return c.mapping(field)
	case reflect.String:
		return c.word(field)
	case reflect.Bool:
		return c.Once(2)
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint16:
		return c.number(field)
	}
	return pick(c, odd)
}

func (c *Choices) object(t reflect.Type, depth int) map[string]any {
	tree := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		optional := strings.Contains(options, "omit")
		switch {
		case name == "metadata" || name == "-" || name == "status" && !c.Once(10):
		case name == "" && f.Anonymous: // TypeMeta, or fields that are inlined
			for k, v := range c.object(f.Type, depth) {
				tree[k] = v
			}
		case depth > 6, optional && name != "spec" && name != "addresses" && !c.Once(4):
		case c.Once(200):
			tree[name] = pick(c, odd)
		default:
			tree[name] = c.value(f.Type, name, depth+1)
		}
	}
	return tree
}

// damage makes something of the object what nobody expects.
func (c *Choices) damage(tree map[string]any) {
	spec, ok := tree["spec"].(map[string]any)
	if !ok || c.Once(4) {
		spec = tree
	}
	fields := []string{"unheardOf"}
	for name := range spec {
		fields = append(fields, name)
	}
	slices.Sort(fields)
	spec[pick(c, fields)] = pick(c, odd)
}
