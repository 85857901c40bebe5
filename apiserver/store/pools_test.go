package store

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
)

// pools returns generic storage of IPAddressPools on s, with a watch cache, as the API server has it.
func pools(t *testing.T, s *Store) *registry.Store {
	t.Helper()
	return objects(t, s, "ipaddresspools", "ipaddresspool",
		func() runtime.Object { return &metallb.IPAddressPool{} }, func() runtime.Object { return &metallb.IPAddressPoolList{} })
}

// objects is the storage of a kind.
func objects(t *testing.T, s *Store, plural, singular string, newObject, newList func() runtime.Object) *registry.Store {
	t.Helper()
	resource := schema.GroupResource{Group: groupName, Resource: plural}
	r := &registry.Store{
		NewFunc:                   newObject,
		NewListFunc:               newList,
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: schema.GroupResource{Group: groupName, Resource: singular},
		CreateStrategy:            permissive{install.Scheme, names.SimpleNameGenerator},
		UpdateStrategy:            permissive{install.Scheme, names.SimpleNameGenerator},
		DeleteStrategy:            permissive{install.Scheme, names.SimpleNameGenerator},
		TableConvertor:            rest.NewDefaultTableConvertor(resource),
	}
	if err := r.CompleteWithOptions(&generic.StoreOptions{RESTOptions: s.RESTOptionsGetter(nil)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.DestroyFunc)
	return r
}

// permissive is a strategy without opinions: what these tests test is below it.
type permissive struct {
	runtime.ObjectTyper
	names.NameGenerator
}

func (permissive) NamespaceScoped() bool                                            { return true }
func (permissive) AllowCreateOnUpdate() bool                                        { return false }
func (permissive) AllowUnconditionalUpdate() bool                                   { return true }
func (permissive) Canonicalize(runtime.Object)                                      {}
func (permissive) PrepareForCreate(context.Context, runtime.Object)                 {}
func (permissive) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}
func (permissive) Validate(context.Context, runtime.Object) field.ErrorList         { return nil }
func (permissive) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}
func (permissive) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (permissive) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// span is a pool of one range, the last byte of whose addresses runs from first to last.
func span(name string, first, last int) *metallb.IPAddressPool {
	return &metallb.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "metallb-system"},
		Spec:       metallb.IPAddressPoolSpec{Addresses: []string{fmt.Sprintf("10.0.0.%d-10.0.0.%d", first, last)}},
	}
}

func spanOf(p *metallb.IPAddressPool) (first, last int) {
	if _, err := fmt.Sscanf(p.Spec.Addresses[0], "10.0.0.%d-10.0.0.%d", &first, &last); err != nil {
		panic(fmt.Sprintf("pool %s: %v", p.Name, err))
	}
	return first, last
}

// overlaps is the rule of these tests: no two pools share an address.
func overlaps(c *metallb.Configuration, _ string, old, new runtime.Object) field.ErrorList {
	if new == nil {
		return nil
	}
	pool := new.(*metallb.IPAddressPool)
	first, last := spanOf(pool)
	var errs field.ErrorList
	for _, other := range c.IPAddressPools {
		if other.Name == pool.Name {
			continue
		}
		if a, z := spanOf(other); a <= last && first <= z {
			errs = append(errs, field.Invalid(field.NewPath("spec", "addresses").Index(0), pool.Spec.Addresses[0],
				fmt.Sprintf("overlaps %s of IPAddressPool %q", other.Spec.Addresses[0], other.Name)))
		}
	}
	return errs
}

func inSystemNamespace(ctx context.Context) context.Context {
	return genericapirequest.WithNamespace(ctx, "metallb-system")
}
