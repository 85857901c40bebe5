package registry

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/ingot-lb/ingot/apiserver/rules"
)

// Delete warns about what is in use, and answers a dry run as the guarded write would answer the deletion.
func (o *objects) Delete(
	ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	if err := o.release(ctx, options.DryRun, name); err != nil {
		return nil, false, err
	}
	return o.Store.Delete(withDryRun(ctx, options.DryRun), name, o.deletable(validate), options)
}

// DeleteCollection does so for each object.
func (o *objects) DeleteCollection(
	ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions,
) (runtime.Object, error) {
	if err := o.releaseAll(ctx, options.DryRun, list); err != nil {
		return nil, err
	}
	return o.Store.DeleteCollection(withDryRun(ctx, options.DryRun), o.deletable(validate), options, list)
}

// deletable adds the early words of the rules to what admission has to say.
func (o *objects) deletable(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	holders := sync.OnceValue(o.strategy.judge.Holders) // once, however many objects are deleted
	return func(ctx context.Context, obj runtime.Object) error {
		if validate != nil {
			if err := validate(ctx, obj); err != nil {
				return err
			}
		}
		errs, warnings := o.strategy.judge.Check(o.strategy.current(), rules.Change{Resource: o.kind.plural, Old: obj, Holders: holders()})
		if len(errs) > 0 && isDryRun(ctx) {
			return apierrors.NewInvalid(o.groupKind, obj.(object).GetName(), errs)
		}
		for _, w := range warnings {
			warning.AddWarning(ctx, "", w)
		}
		return nil
	}
}
