package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// objects serves all verbs on the objects of one kind.
type objects struct {
	*genericregistry.Store
	strategy  strategy
	kind      kind
	groupKind schema.GroupKind
}

var (
	_ rest.StandardStorage      = &objects{}
	_ rest.ShortNamesProvider   = &objects{}
	_ rest.CategoriesProvider   = &objects{}
	_ rest.SingularNameProvider = &objects{}
	_ rest.TableConvertor       = &objects{}
	_ rest.ResetFieldsStrategy  = &objects{}
	_ rest.StorageWithReadiness = &objects{}
)

func newStorage(
	k kind, scheme *runtime.Scheme, optsGetter generic.RESTOptionsGetter, namespace string, current func() *metallb.Configuration,
	judge *rules.Judge,
) (*objects, *status, error) {
	gvks, _, err := scheme.ObjectKinds(k.newObject())
	if err != nil {
		return nil, nil, err
	}
	groupKind := gvks[0].GroupKind()
	s := strategy{scheme, names.SimpleNameGenerator, k, namespace, current, judge}
	store := &genericregistry.Store{
		NewFunc:                   k.newObject,
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  metallb.Resource(k.plural),
		SingularQualifiedResource: metallb.Resource(k.singular),
		CreateStrategy:            s,
		UpdateStrategy:            s,
		DeleteStrategy:            s,
		ResetFieldsStrategy:       s,
		ReturnDeletedObject:       true, // as for CRDs
		TableConvertor:            tableConvertor{k.columns},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optsGetter, AttrFunc: attributes}); err != nil {
		return nil, nil, err
	}
	ofStatus := *store
	ofStatus.UpdateStrategy = statusStrategy{s}
	ofStatus.ResetFieldsStrategy = statusStrategy{s}
	return &objects{store, s, k, groupKind}, &status{&ofStatus, groupKind}, nil
}

// ShortNames implements rest.ShortNamesProvider.
func (o *objects) ShortNames() []string { return o.kind.shortNames }

// Categories implements rest.CategoriesProvider.
func (o *objects) Categories() []string { return []string{category} }

// Create tells the strategy whether it is a dry run.
func (o *objects) Create(
	ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	created, err := o.Store.Create(withDryRun(ctx, options.DryRun), obj, validate, options)
	return created, brief(err)
}

// Update tells the strategy whether it is a dry run. Patch and apply come here too.
func (o *objects) Update(
	ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc,
	onUpdate rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	info = change{info, o.groupKind}
	obj, created, err := o.Store.Update(withDryRun(ctx, options.DryRun), name, info, onCreate, onUpdate, forceAllowCreate, options)
	return obj, created, brief(err)
}

// status serves the status subresource of one kind.
type status struct {
	store     *genericregistry.Store
	groupKind schema.GroupKind
}

var (
	_ rest.Patcher             = &status{}
	_ rest.TableConvertor      = &status{}
	_ rest.ResetFieldsStrategy = &status{}
)

// New implements rest.Storage.
func (s *status) New() runtime.Object { return s.store.New() }

// Destroy implements rest.Storage. The storage beneath is the object's own and goes with it.
func (s *status) Destroy() {}

// Get implements rest.Getter.
func (s *status) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A status cannot be written into being.
func (s *status) Update(
	ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc,
	onUpdate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	info = change{info, s.groupKind}
	obj, created, err := s.store.Update(ctx, name, info, onCreate, onUpdate, false, options)
	return obj, created, brief(err)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (s *status) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}

type dryRunKey struct{}

func withDryRun(ctx context.Context, directive []string) context.Context {
	return context.WithValue(ctx, dryRunKey{}, dryrun.IsDryRun(directive))
}

func isDryRun(ctx context.Context) bool {
	dry, _ := ctx.Value(dryRunKey{}).(bool)
	return dry
}
