package registry

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// errHeldByNobody ends an update that has nothing to do.
var errHeldByNobody = errors.New("the operator has no finalizer on the object")

// release takes the operator's finalizer away from an object that is deleted because its namespace is: the operator ends
// with the namespace, and so does what it made there, so that nobody would ever take the finalizer away.
func (o *objects) release(ctx context.Context, dryRun []string, name string) error {
	if o.kind.plural != metalLBs.plural || !o.strategy.judge.Terminating() {
		return nil
	}
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		freed := old.DeepCopyObject().(object)
		finalizers := freed.GetFinalizers()
		rest := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == metallb.OperatorFinalizer })
		if len(rest) == len(finalizers) {
			return nil, errHeldByNobody
		}
		freed.SetFinalizers(rest)
		return freed, nil
	})
	_, _, err := o.Store.Update(withDryRun(ctx, dryRun), name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
		&metav1.UpdateOptions{DryRun: dryRun})
	if errors.Is(err, errHeldByNobody) || apierrors.IsNotFound(err) {
		return nil // the deletion itself has the right words for what is not there
	}
	return err
}

// releaseAll does so for a collection.
func (o *objects) releaseAll(ctx context.Context, dryRun []string, options *metainternalversion.ListOptions) error {
	if o.kind.plural != metalLBs.plural || !o.strategy.judge.Terminating() {
		return nil
	}
	list, err := o.Store.List(ctx, options)
	if err != nil {
		return err
	}
	return meta.EachListItem(list, func(item runtime.Object) error { return o.release(ctx, dryRun, item.(object).GetName()) })
}
