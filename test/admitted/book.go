package admitted

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// Book is a configuration that grows by what is written and accepted.
type Book struct {
	// Config is what was accepted so far. It is replaced by each write and never changed.
	Config  *metallb.Configuration
	judge   *rules.Judge
	written int
}

// NewBook returns an empty book. Its rules know the Nodes of Cluster.
func NewBook() *Book {
	return &Book{Config: &metallb.Configuration{}, judge: rules.NewJudge(host{})}
}

// Host is what the rules know of Cluster: its Nodes.
func Host() rules.Host { return host{} }

type host struct{}

func (host) Nodes() []rules.Node {
	var nodes []rules.Node
	for _, n := range clusterNodes() {
		nodes = append(nodes, rules.Node{Name: n.Name, Labels: n.Labels})
	}
	return nodes
}
func (host) Holders() []rules.Holder { return nil }
func (host) Terminating() bool       { return false }

func (host) Secret(string) (*corev1.Secret, bool) { return nil, false }

// Fill writes so many random objects, and returns those that were accepted, as they are stored.
func (b *Book) Fill(c *Choices, writes int) ([]runtime.Object, error) {
	var accepted []runtime.Object
	for range writes {
		obj, errs, err := b.Write(Text(c))
		if err != nil {
			return nil, err
		}
		if obj != nil && len(errs) == 0 {
			accepted = append(accepted, obj)
		}
	}
	return accepted, nil
}

// Write does what the API does with the text of an object: decodes it with defaults into the internal type, judges it
// beside the rest, and stores it. It returns what is stored, or nil and, where the text is an object at all, what is
// wrong with it. An error is a mistake of the API's: what it accepts does not survive being stored.
func (b *Book) Write(text []byte) (runtime.Object, field.ErrorList, error) {
	obj, _, err := install.Codecs.UniversalDecoder(metallb.SchemeGroupVersion).Decode(text, nil, nil)
	if err != nil {
		return nil, nil, nil
	}
	meta, ok := obj.(metav1.Object)
	if !ok {
		return nil, nil, nil
	}
	old := Find(b.Config, obj)
	if meta.GetNamespace() != Namespace || old == nil && meta.GetResourceVersion() != "" {
		return nil, nil, nil
	}
	if errs := validation.ValidateObjectMetaAccessor(meta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata")); len(errs) > 0 {
		return nil, errs, nil
	}
	zero(obj, "Status")
	meta.SetResourceVersion("")
	b.written++
	meta.SetCreationTimestamp(metav1.Unix(int64(b.written), 0))
	resource := strings.ToLower(reflect.TypeOf(obj).Elem().Name()) + "s"
	if errs, _ := b.judge.Check(b.Config, rules.Change{Resource: resource, Old: old, New: obj}); len(errs) > 0 {
		for _, e := range errs {
			if e.Type == field.ErrorTypeInternal {
				return nil, nil, fmt.Errorf("the rules have no answer for %T: %w", obj, e)
			}
		}
		return nil, errs, nil
	}
	stored, err := store(obj)
	if err != nil {
		return nil, nil, err
	}
	b.Config = with(b.Config, old, stored)
	return stored, nil, nil
}

// store is what is read back of an object that was stored.
func store(obj runtime.Object) (runtime.Object, error) {
	codec := install.StorageCodec()
	text, err := runtime.Encode(codec, obj)
	if err != nil {
		return nil, fmt.Errorf("accepted, and cannot be encoded: %w", err)
	}
	stored, err := runtime.Decode(codec, text)
	if err != nil {
		return nil, fmt.Errorf("accepted, and cannot be decoded from %s: %w", text, err)
	}
	again, err := runtime.Encode(codec, stored)
	if err != nil {
		return nil, fmt.Errorf("stored, and cannot be encoded: %w", err)
	}
	if string(again) != string(text) || !apiequality.Semantic.DeepEqual(obj, stored) {
		return nil, fmt.Errorf("stored as %s, read back as %s", text, again)
	}
	return stored, nil
}

func zero(obj runtime.Object, name string) {
	if f := reflect.ValueOf(obj).Elem().FieldByName(name); f.IsValid() {
		f.SetZero()
	}
}

// lists are the configuration's, by kind: each is a slice of pointers.
func lists(c *metallb.Configuration) reflect.Value { return reflect.ValueOf(c).Elem() }

// Find is the object of that kind and name, or nil.
func Find(c *metallb.Configuration, like runtime.Object) runtime.Object {
	for i := range lists(c).NumField() {
		list := lists(c).Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem() != reflect.TypeOf(like) {
			continue
		}
		for j := range list.Len() {
			if o := list.Index(j).Interface(); o.(metav1.Object).GetName() == like.(metav1.Object).GetName() {
				return o.(runtime.Object)
			}
		}
	}
	return nil
}

// with is the configuration with obj in the place of old, in order of name.
func with(c *metallb.Configuration, old, obj runtime.Object) *metallb.Configuration {
	next := *c
	for i := range lists(&next).NumField() {
		list := lists(&next).Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem() != reflect.TypeOf(obj) {
			continue
		}
		var all []reflect.Value
		for j := range list.Len() {
			if list.Index(j).Interface() != any(old) {
				all = append(all, list.Index(j))
			}
		}
		all = append(all, reflect.ValueOf(obj))
		slices.SortFunc(all, func(a, b reflect.Value) int {
			return strings.Compare(a.Interface().(metav1.Object).GetName(), b.Interface().(metav1.Object).GetName())
		})
		made := reflect.MakeSlice(list.Type(), 0, len(all))
		list.Set(reflect.Append(made, all...))
	}
	return &next
}
