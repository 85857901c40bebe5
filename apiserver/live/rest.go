package live

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
)

// Category is what kubectl accepts for all kinds at once; see package registry.
const Category = "ingot"

// REST serves the objects of a set: get, list and watch, and nothing else. Discovery says so, which keeps them out of
// what kube-controller-manager collects as garbage, or deletes with a namespace.
type REST struct{ set *Set }

var (
	_ rest.Storage              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Watcher              = &REST{}
	_ rest.SingularNameProvider = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
)

// NewREST returns the storage that serves a set.
func NewREST(set *Set) *REST { return &REST{set} }

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.set.kind.New() }

// NewList implements rest.Lister.
func (r *REST) NewList() runtime.Object { return r.set.kind.NewList() }

// Destroy implements rest.Storage. Watches end.
func (r *REST) Destroy() { r.set.close() }

// NamespaceScoped implements rest.Scoper.
func (r *REST) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (r *REST) GetSingularName() string { return r.set.kind.Singular }

// ShortNames implements rest.ShortNamesProvider.
func (r *REST) ShortNames() []string { return r.set.kind.ShortNames }

// Categories implements rest.CategoriesProvider.
func (r *REST) Categories() []string { return []string{Category} }

// ConvertToTable implements rest.TableConvertor.
func (r *REST) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return columns.Table(obj, options, r.set.kind.Columns, r.set.kind.Cells)
}

// Get implements rest.Getter.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	if options != nil {
		if _, err := r.position(options.ResourceVersion); err != nil {
			return nil, err
		}
	}
	o, ok := r.set.Object(name)
	if !ok || genericapirequest.NamespaceValue(ctx) != r.set.namespace {
		return nil, apierrors.NewNotFound(metallb.Resource(r.set.kind.Plural), name)
	}
	return o.DeepCopyObject(), nil
}

// List implements rest.Lister. Lists are always complete: limit is not applied, and so nothing is to be continued.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	if options.Continue != "" {
		return nil, apierrors.NewResourceExpired("lists of " + r.set.kind.Plural + " are complete: there is nothing to continue")
	}
	asked, err := r.position(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	all, version := r.set.list()
	if options.ResourceVersionMatch == metav1.ResourceVersionMatchExact && asked != version {
		return nil, expired(asked)
	}
	wanted := r.selection(ctx, options)
	items := make([]runtime.Object, 0, len(all))
	for _, o := range all {
		if wanted(o) {
			items = append(items, o)
		}
	}
	list := r.set.kind.NewList()
	if err := meta.SetList(list, items); err != nil {
		return nil, fmt.Errorf("list of %s: %w", r.set.kind.Plural, err)
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, fmt.Errorf("list of %s: %w", r.set.kind.Plural, err)
	}
	m.SetResourceVersion(strconv.FormatUint(version, 10))
	return list, nil
}

// Watch implements rest.Watcher. Without a version, or with "0", and where initial events are asked for, what there is
// comes first.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	asked, err := r.position(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	wanted := r.selection(ctx, options)
	streamed := options.SendInitialEvents != nil && *options.SendInitialEvents
	all, version := r.set.list()
	switch {
	case streamed, options.SendInitialEvents == nil && asked == 0:
		return newWatcher(ctx, r.set, version, all, wanted, options.AllowWatchBookmarks, streamed && options.AllowWatchBookmarks), nil
	case asked == 0:
		asked = version
	}
	return newWatcher(ctx, r.set, asked, nil, wanted, options.AllowWatchBookmarks, false), nil
}

// position reads a version that a client brought: 0 when it brought none, or any will do. One that is not known here is
// expired.
func (r *REST) position(version string) (uint64, error) {
	if version == "" || version == "0" {
		return 0, nil
	}
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version %q: %v", version, err))
	}
	if _, _, err := r.set.since(v); err != nil {
		return 0, expired(v)
	}
	return v, nil
}

// selection is by namespace, labels and fields.
func (r *REST) selection(ctx context.Context, options *metainternalversion.ListOptions) selection {
	namespace := genericapirequest.NamespaceValue(ctx)
	byLabel, byField := labels.Everything(), fields.Everything()
	if options.LabelSelector != nil {
		byLabel = options.LabelSelector
	}
	if options.FieldSelector != nil {
		byField = metallb.Any(options.FieldSelector)
	}
	return func(o Object) bool {
		if namespace != "" && namespace != o.GetNamespace() || !byLabel.Matches(labels.Set(o.GetLabels())) {
			return false
		}
		return byField.Empty() || byField.Matches(selectable(o))
	}
}

func selectable(o Object) fields.Set {
	set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if s, ok := o.(metallb.Selectable); ok {
		maps.Copy(set, s.SelectableFields())
	}
	return set
}
