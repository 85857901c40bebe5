package registry

import (
	"context"
	"strings"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

var ipAllocations = kind{
	plural: "ipallocations", singular: "ipallocation", shortNames: []string{"ipa"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.IPAllocation{} },
	newList:   func() runtime.Object { return &metallb.IPAllocationList{} },
	columns: []column{
		{"Address", "string", 0, "The address.",
			cell(func(a *metallb.IPAllocation) any { return textCell(a.Spec.Address) })},
		{"Pool", "string", 0, "Pool that the address is of.",
			cell(func(a *metallb.IPAllocation) any { return textCell(a.Spec.Pool) })},
		{"Services", "string", 0, "Services that hold the address.",
			cell(func(a *metallb.IPAllocation) any {
				var list []string
				for _, s := range a.Spec.Services {
					list = append(list, s.Namespace+"/"+s.Name)
				}
				return textCell(strings.Join(list, ","))
			})},
		{"Shared", "string", 0, "Key under which Services share the address.",
			cell(func(a *metallb.IPAllocation) any { return textCell(a.Spec.SharingKey) })},
		age(func(a *metallb.IPAllocation) metav1.Time { return a.CreationTimestamp }),
	},
}

// allocations serves IPAllocations: users read and delete them, and claims write them.
type allocations struct{ store *genericregistry.Store }

var (
	_ rest.Scoper               = &allocations{}
	_ rest.Getter               = &allocations{}
	_ rest.Lister               = &allocations{}
	_ rest.Watcher              = &allocations{}
	_ rest.GracefulDeleter      = &allocations{}
	_ rest.CollectionDeleter    = &allocations{}
	_ rest.ShortNamesProvider   = &allocations{}
	_ rest.CategoriesProvider   = &allocations{}
	_ rest.SingularNameProvider = &allocations{}
	_ rest.StorageWithReadiness = &allocations{}
)

func newAllocations(scheme *runtime.Scheme, optsGetter generic.RESTOptionsGetter, namespace string) (*allocations, error) {
	s := strategy{ObjectTyper: scheme, NameGenerator: names.SimpleNameGenerator, kind: ipAllocations, namespace: namespace}
	store := &genericregistry.Store{
		NewFunc:                   ipAllocations.newObject,
		NewListFunc:               ipAllocations.newList,
		DefaultQualifiedResource:  metallb.Resource(ipAllocations.plural),
		SingularQualifiedResource: metallb.Resource(ipAllocations.singular),
		CreateStrategy:            s, // which says that they live in namespaces
		DeleteStrategy:            s,
		ReturnDeletedObject:       true,
		TableConvertor:            tableConvertor{ipAllocations.columns},
		PredicateFunc: func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: label, Field: metallb.Any(field), GetAttrs: attributes}
		},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optsGetter, AttrFunc: attributes}); err != nil {
		return nil, err
	}
	return &allocations{store}, nil
}

// New implements rest.Storage.
func (a *allocations) New() runtime.Object { return a.store.New() }

// NewList implements rest.Lister.
func (a *allocations) NewList() runtime.Object { return a.store.NewList() }

// Destroy implements rest.Storage.
func (a *allocations) Destroy() { a.store.Destroy() }

// ReadinessCheck implements rest.StorageWithReadiness.
func (a *allocations) ReadinessCheck() error { return a.store.ReadinessCheck() }

// NamespaceScoped implements rest.Scoper.
func (a *allocations) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (a *allocations) GetSingularName() string { return ipAllocations.singular }

// ShortNames implements rest.ShortNamesProvider.
func (a *allocations) ShortNames() []string { return ipAllocations.shortNames }

// Categories implements rest.CategoriesProvider.
func (a *allocations) Categories() []string { return []string{category} }

// Get implements rest.Getter.
func (a *allocations) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return a.store.Get(ctx, name, options)
}

// List implements rest.Lister.
func (a *allocations) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return a.store.List(ctx, options)
}

// Watch implements rest.Watcher.
func (a *allocations) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	return a.store.Watch(ctx, options)
}

// Delete implements rest.GracefulDeleter. The controller enters again what is in use.
func (a *allocations) Delete(
	ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	return a.store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (a *allocations) DeleteCollection(
	ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions,
) (runtime.Object, error) {
	return a.store.DeleteCollection(ctx, validate, options, list)
}

// ConvertToTable implements rest.TableConvertor.
func (a *allocations) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return a.store.ConvertToTable(ctx, obj, options)
}
