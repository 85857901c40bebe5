package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
)

// fields is a set of fields, as managed fields have it: by name, each with those within.
type fields map[string]any

// claim makes the operator the manager of what others have put into an object's spec beside what is the operator's: what it manages
// and does not want, the next application takes away. It returns the object as it is then, nil where it is gone.
func (c *Cluster) claim(ctx context.Context, k kind, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if entries, err := claimed(live.GetAPIVersion(), live.GetManagedFields()); err != nil || entries == nil {
		return live, err
	}
	// What was heard of may be old, and the version sees to it that nobody's fields are forgotten who writes at the same time, as
	// the cluster's own controllers do.
	name := live.GetName()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		live, err = c.objects(k).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			live = nil
			return nil
		}
		if err != nil {
			return err
		}
		entries, err := claimed(live.GetAPIVersion(), live.GetManagedFields())
		if err != nil || entries == nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": live.GetResourceVersion(), "managedFields": entries}})
		if err != nil {
			return fmt.Errorf("managed fields: %w", err)
		}
		live, err = c.objects(k).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
		return err
	})
	return live, err
}

// claimed are the managed fields of an object in which the spec is the operator's alone; nil where others have nothing in it that is
// not the operator's, too. The metadata of a template is everybody's (kubectl rollout restart), and so is what the cluster's own
// webhooks put in while the operator writes: it would only come back.
func claimed(version string, entries []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	var others []metav1.ManagedFieldsEntry
	mine := metav1.ManagedFieldsEntry{Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1",
		Time: ptr.To(metav1.Now())}
	own, claims := fields{}, fields{}
	for _, e := range entries {
		set := fields{}
		if e.FieldsV1 != nil {
			if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &set); err != nil {
				return nil, fmt.Errorf("managed fields of %s: %w", e.Manager, err)
			}
		}
		if e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			mine, own = e, set
			continue
		}
		if e.Manager != FieldManager && e.Subresource == "" {
			if spec := takeSpec(set); len(spec) > 0 {
				merge(claims, spec)
				if len(set) == 0 {
					continue
				}
				if err := write(&e, set); err != nil {
					return nil, err
				}
			}
		}
		others = append(others, e)
	}
	spec, _ := own["f:spec"].(map[string]any)
	if within(claims, spec) {
		return nil, nil
	}
	merge(own, fields{"f:spec": map[string]any(claims)})
	if err := write(&mine, own); err != nil {
		return nil, err
	}
	return append(others, mine), nil
}

// takeSpec takes the fields of the spec out of a set, but for the metadata of a template.
func takeSpec(set fields) fields {
	spec, _ := set["f:spec"].(map[string]any)
	taken := maps.Clone(spec)
	delete(set, "f:spec")
	template, _ := spec["f:template"].(map[string]any)
	metadata, found := template["f:metadata"]
	if !found {
		return taken
	}
	set["f:spec"] = map[string]any{"f:template": map[string]any{"f:metadata": metadata}}
	rest := maps.Clone(template)
	delete(rest, "f:metadata")
	if taken["f:template"] = rest; len(rest) == 0 {
		delete(taken, "f:template")
	}
	return taken
}

// within says whether another set has all of the fields.
func within(some, all map[string]any) bool {
	for name, inner := range some {
		there, found := all[name]
		if !found {
			return false
		}
		inner, _ := inner.(map[string]any)
		if there, _ := there.(map[string]any); !within(inner, there) {
			return false
		}
	}
	return true
}

// merge adds fields to a set.
func merge(to, from map[string]any) {
	for name, inner := range from {
		there, isSet := to[name].(map[string]any)
		if inner, deeper := inner.(map[string]any); isSet && deeper {
			merge(there, inner)
			continue
		}
		to[name] = inner
	}
}

func write(e *metav1.ManagedFieldsEntry, set fields) error {
	raw, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("managed fields of %s: %w", e.Manager, err)
	}
	e.FieldsV1 = metav1.NewFieldsV1(string(raw))
	return nil
}
