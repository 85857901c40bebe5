package registry

import (
	"context"
	"fmt"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// strategy is how objects of a kind are created, updated and deleted.
//
// What it refuses is wrong by itself, or, in a dry run, beside the last known configuration: a dry run never reaches
// the guarded write. Other writes are judged beside the stored configuration there, and only there, because what is
// known here may be old: a pool whose addresses were freed a moment ago must not be refused.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind
	namespace string
	current   func() *metallb.Configuration
	judge     *rules.Judge
}

func (s strategy) NamespaceScoped() bool          { return true }
func (s strategy) AllowCreateOnUpdate() bool      { return false }
func (s strategy) AllowUnconditionalUpdate() bool { return true }
func (s strategy) Canonicalize(runtime.Object)    {}

// GetResetFields keeps the status out of the field managers of those who write the spec.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resetFields("status")
}

func (k kind) resetFields(name string) map[fieldpath.APIVersion]*fieldpath.Set {
	sets := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, v := range k.versions {
		sets[fieldpath.APIVersion(metallb.GroupName+"/"+v)] = fieldpath.NewSet(fieldpath.MakePathOrDie(name))
	}
	return sets
}

func (s strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	s.parts.zeroStatus(obj)
	obj.(object).SetGeneration(1)
}

// PrepareForUpdate counts changes of the spec, which CRDs did by themselves and controllers rely on.
func (s strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.parts.keepStatus(obj, old)
	if !s.parts.sameSpec(obj, old) {
		obj.(object).SetGeneration(old.(object).GetGeneration() + 1)
	}
}

func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	var errs field.ErrorList
	meta := obj.(object)
	if meta.GetNamespace() != s.namespace {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), meta.GetNamespace(),
			fmt.Sprintf("resource must be created in %s namespace", s.namespace)))
	}
	for _, problem := range apivalidation.NameIsDNSSubdomain(meta.GetName(), false) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), meta.GetName(), problem))
	}
	if version := meta.GetResourceVersion(); version != "" && version != "0" { // which the storage would answer with status 500
		errs = append(errs, field.Invalid(field.NewPath("metadata", "resourceVersion"), version, "must not be set on an object to be created"))
	}
	errs = append(errs, checkMetadata(meta, nil)...)
	return append(errs, s.check(ctx, obj, nil)...)
}

func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(checkMetadata(obj.(object), old.(object)), s.check(ctx, obj, old)...)
}

func (s strategy) check(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	var beside *metallb.Configuration
	if isDryRun(ctx) {
		beside = s.current()
	}
	errs, _ := s.judge.Check(beside, rules.Change{Resource: s.plural, Old: old, New: obj})
	return errs
}

func (s strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return s.warnings(obj, nil)
}

func (s strategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.parts.sameSpec(obj, old) {
		return nil
	}
	return s.warnings(obj, old)
}

func (s strategy) warnings(obj, old runtime.Object) []string {
	change := rules.Change{Resource: s.plural, Old: old, New: obj}
	if _, ok := obj.(*metallb.IPReservation); ok { // who holds what is no news to those who write other kinds
		change.Holders = s.judge.Holders()
	}
	_, warnings := s.judge.Check(s.current(), change)
	return warnings
}

// statusStrategy is how the status of a kind is updated: nothing else changes.
type statusStrategy struct{ strategy }

// GetResetFields keeps the spec out of the field managers of those who write the status.
func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resetFields("spec")
}

func (s statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.parts.keepAll(obj, old)
}

// ValidateUpdate holds conditions to what a CRD's schema holds them to, whoever writes them.
func (s statusStrategy) ValidateUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	if c, ok := obj.(metallb.Conditioned); ok {
		return metav1validation.ValidateConditions(*c.StatusConditions(), field.NewPath("status", "conditions"))
	}
	return nil
}

func (s statusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
