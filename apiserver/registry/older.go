package registry

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// older is a deprecated version of a kind.
type older struct {
	version string
	// warning comes with every answer, as with CRDs.
	warning string
	// instead, if it is set, makes a more precise one of an object that was written.
	instead func(runtime.Object) string
	// carry and same are set where the version has no field for some of what an object holds. carry makes of what the version cannot say in dst what it is in src; same says whether it is the same already.
	carry func(dst, src runtime.Object)
	same  func(a, b runtime.Object) bool
}

var bgpPeersBefore = older{
	version: "v1beta1",
	warning: "v1beta1 is deprecated, please use v1beta2",
	carry: func(dst, src runtime.Object) {
		v1beta1.CarryUnsaid(&dst.(*metallb.BGPPeer).Spec, &src.(*metallb.BGPPeer).Spec)
		v1beta1.ForgetZeros(dst.(*metallb.BGPPeer))
	},
	same: func(a, b runtime.Object) bool {
		return v1beta1.SameUnsaid(&a.(*metallb.BGPPeer).Spec, &b.(*metallb.BGPPeer).Spec)
	},
}

// addressPoolsIn is a version of a kind that is deprecated in all of its versions: each of them says everything.
func addressPoolsIn(version string) older {
	deprecated := metallb.GroupName + "/" + version + " AddressPool is deprecated; use "
	return older{
		version: version,
		warning: deprecated + "IPAddressPool and L2Advertisement or BGPAdvertisement",
		instead: func(o runtime.Object) string { return deprecated + legacy.Describe(o.(*metallb.AddressPool)) },
	}
}

// change is info with what the version cannot say carried over.
func (o older) change(info rest.UpdatedObjectInfo) rest.UpdatedObjectInfo {
	if o.carry == nil {
		return info
	}
	return olderChange{info, o}
}

// warnOfWrite says what became of a write: obj, unless it failed.
func (o older) warnOfWrite(ctx context.Context, obj runtime.Object, err error) {
	text := o.warning
	if err == nil && o.instead != nil {
		text = o.instead(obj)
	}
	warning.AddWarning(ctx, "", text)
}

// olderObjects serves the objects of a kind in a deprecated version.
type olderObjects struct {
	*objects
	older older
}

var (
	_ rest.StandardStorage     = &olderObjects{}
	_ rest.ResetFieldsStrategy = &olderObjects{}
)

func (o *olderObjects) warn(ctx context.Context) { warning.AddWarning(ctx, "", o.older.warning) }

// Get implements rest.Getter.
func (o *olderObjects) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	o.warn(ctx)
	return o.objects.Get(ctx, name, options)
}

// List implements rest.Lister.
func (o *olderObjects) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	o.warn(ctx)
	return o.objects.List(ctx, options)
}

// Watch implements rest.Watcher.
func (o *olderObjects) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	o.warn(ctx)
	return o.objects.Watch(ctx, options)
}

// Create implements rest.Creater.
func (o *olderObjects) Create(
	ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	created, err := o.objects.Create(ctx, obj, validate, options)
	o.older.warnOfWrite(ctx, created, err)
	return created, err
}

// Update implements rest.Updater.
func (o *olderObjects) Update(
	ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc,
	onUpdate rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	updated, created, err := o.objects.Update(ctx, name, o.older.change(info), onCreate, onUpdate, forceAllowCreate, options)
	o.older.warnOfWrite(ctx, updated, err)
	return updated, created, err
}

// Delete implements rest.GracefulDeleter.
func (o *olderObjects) Delete(
	ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	o.warn(ctx)
	return o.objects.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (o *olderObjects) DeleteCollection(
	ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions,
) (runtime.Object, error) {
	o.warn(ctx)
	return o.objects.DeleteCollection(ctx, validate, options, list)
}

// olderStatus serves the status subresource in a deprecated version.
type olderStatus struct {
	*status
	older older
}

// Get implements rest.Getter.
func (s *olderStatus) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	warning.AddWarning(ctx, "", s.older.warning)
	return s.status.Get(ctx, name, options)
}

// Update implements rest.Updater.
func (s *olderStatus) Update(
	ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc,
	onUpdate rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	warning.AddWarning(ctx, "", s.older.warning)
	return s.status.Update(ctx, name, s.older.change(info), onCreate, onUpdate, forceAllowCreate, options)
}

// olderChange is a change that came in a deprecated version. What that version cannot say stays as it is stored: the
// writer may not have known of it, as one that replaces the object from a file has not.
//
// Who manages which fields is worked out within the change, in the writer's version. There the fields that this
// version cannot say are annotations, and a writer that leaves them out would seem to have removed those fields: their
// managers would lose them, though they stay. So the change is made to the stored object as if it had of those fields
// what the writer's has. Then there is no difference in them, and they keep their managers.
type olderChange struct {
	rest.UpdatedObjectInfo
	older older
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (c olderChange) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := c.UpdatedObjectInfo.UpdatedObject(ctx, old)
	if err != nil {
		return nil, err
	}
	if old.(object).GetUID() == "" || c.older.same(obj, old) { // an apply that creates starts from nothing
		return obj, nil
	}
	seen := old.DeepCopyObject()
	c.older.carry(seen, obj)
	if obj, err = c.UpdatedObjectInfo.UpdatedObject(ctx, seen); err != nil {
		return nil, err
	}
	c.older.carry(obj, old)
	return obj, nil
}
