package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/operator/apply"
	"github.com/ingot-lb/ingot/controller/operator/conditions"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/controller/operator/rollout"
)

// Adopt is the annotation that, when "true" on the MetalLB object, lets the operator take over what somebody else made.
const Adopt = "ingot.io/adopt"

// round brings the cluster to what the MetalLB object says, and says on it what came of that. It is settled where nothing is
// on the way any more.
func (o *Operator) round(ctx context.Context, f *followed) (settled bool, err error) {
	var errs []error
	var one *v1beta1.MetalLB
	for _, item := range f.metallb.GetStore().List() {
		m := &v1beta1.MetalLB{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.(*unstructured.Unstructured).Object, m); err != nil {
			return false, fmt.Errorf("reading a MetalLB object: %w", err)
		}
		if m.Name == metallb.MetalLBName {
			one = m
			continue
		}
		errs = append(errs, o.tell(ctx, m, conditions.OfIncorrectName(metallb.MetalLBName, m.Generation, m.Status.Conditions, metav1.Now())))
	}
	if one == nil {
		// It may be missing from a store that was lost, or is not all there yet: what it said stays as it is. Its orderly
		// end is one that the finalizer saw.
		o.conditions(nil)
		return true, errors.Join(errs...)
	}
	if one.DeletionTimestamp != nil {
		settled, err = o.end(ctx, f, one)
	} else {
		settled, err = o.install(ctx, f, one)
	}
	return settled, errors.Join(append(errs, err)...)
}

// install makes what the object says.
func (o *Operator) install(ctx context.Context, f *followed, m *v1beta1.MetalLB) (settled bool, err error) {
	if !slices.Contains(m.Finalizers, metallb.OperatorFinalizer) {
		if err := o.hold(ctx, m, []any{metallb.OperatorFinalizer}); err != nil {
			return false, err // what is made before it might be left behind
		}
	}
	objects, err := render.Objects(&m.Spec, o.Settings)
	if err != nil {
		return false, errors.Join(err, o.report(ctx, m, conditions.Input{Problems: []conditions.Problem{{Reason: "NotRendered", Message: err.Error()}}}))
	}
	versions, errVersions := o.speakerVersions(ctx)
	apiserver, errApiserver := o.apiserver(ctx)
	stages := map[string]rollout.Stage{}
	for _, object := range objects {
		if isWorkload(object.Unstructured) {
			stages[object.Component] = o.progress.stage(f.objects.Known(object.GetKind(), object.GetName()), o.Images[object.Component])
		}
	}
	held := rollout.Held(apiserver, stages, rollout.TooOld(o.Version, versions))

	in := conditions.Input{Hindering: rollout.Hindering(o.Version, versions)}
	errs := []error{errVersions, errApiserver}
	wanted := map[string]bool{}
	owners := o.owners(ctx)
	for _, object := range objects {
		if object.GetNamespace() == "" { // the rest goes with the namespace
			object.SetOwnerReferences(owners)
		}
		wanted[object.GetKind()+" "+object.GetName()] = true
		live, err := f.objects.Known(object.GetKind(), object.GetName()), error(nil)
		if held[object.Component] == "" {
			live, err = f.objects.Apply(ctx, object.Unstructured, m.Annotations[Adopt] == "true")
		}
		if err != nil {
			in.Problems = append(in.Problems, problemOf(err))
			errs = append(errs, err)
		}
		if isWorkload(object.Unstructured) {
			in.Workloads = append(in.Workloads, o.workload(ctx, object, live, o.progress.still(object.Component) >= rollout.Patience))
		}
	}
	for _, component := range render.Components {
		if why := held[component]; why != "" {
			in.Held = append(in.Held, why)
		}
	}
	errs = append(errs, f.objects.Prune(ctx, wanted), o.report(ctx, m, in))
	lacks := slices.ContainsFunc(in.Workloads, func(w conditions.Workload) bool { return w.Lacks() != "" })
	return !lacks && len(held) == 0, errors.Join(errs...)
}

// problemOf puts an error into words for a condition.
func problemOf(err error) conditions.Problem {
	switch {
	case errors.Is(err, apply.ErrForeign):
		return conditions.Problem{Reason: "ForeignObject", Message: fmt.Sprintf("%s; delete it, or let the operator have it by the annotation %s=true of this object", err, Adopt)}
	case apierrors.IsInvalid(err):
		return conditions.Problem{Reason: "Invalid", Message: err.Error()}
	case apierrors.IsForbidden(err):
		return conditions.Problem{Reason: "Forbidden", Message: err.Error()}
	}
	return conditions.Problem{Reason: "ApplyFailed", Message: err.Error()}
}

// end removes what the operator made, and then lets the object go.
func (o *Operator) end(ctx context.Context, f *followed, m *v1beta1.MetalLB) (settled bool, err error) {
	if !slices.Contains(m.Finalizers, metallb.OperatorFinalizer) {
		return true, nil // somebody else's finalizer is waited for
	}
	left, err := f.objects.Remove(ctx)
	if len(left) > 0 || err != nil {
		return false, errors.Join(err, o.report(ctx, m, conditions.Input{Removing: left}))
	}
	if err := o.hold(ctx, m, nil); err != nil && !apierrors.IsNotFound(err) {
		return false, err
	}
	o.Log.Info("all that was made is removed", "event", "installationRemoved")
	o.told.event(m, true, "Removed", "all that the operator made is removed")
	return true, nil
}

// hold sets the operator's finalizers on the object.
func (o *Operator) hold(ctx context.Context, m *v1beta1.MetalLB, finalizers []any) error {
	patch := declare(m)
	if finalizers != nil {
		patch.Object["metadata"].(map[string]any)["finalizers"] = finalizers
	}
	_, err := o.Dynamic.Resource(installations).Namespace(o.Namespace).Apply(ctx, m.Name, patch, metav1.ApplyOptions{FieldManager: apply.FieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("finalizer of the MetalLB object: %w", err)
	}
	return nil
}

// declare is an object to be applied to m, and to nothing else of that name.
func declare(m *v1beta1.MetalLB) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1beta1.SchemeGroupVersion.String(), "kind": "MetalLB",
		"metadata": map[string]any{"name": m.Name, "namespace": m.Namespace, "uid": string(m.UID)},
	}}
}

// progress remembers for how long workloads have lacked the same.
type progress map[string]lack

type lack struct {
	what  string
	since time.Time
}
