package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Prune removes what the operator made and is not wanted any more. wanted has all that is: kinds and names, as in "Service webhooks".
func (c *Cluster) Prune(ctx context.Context, wanted map[string]bool) error {
	var errs []error
	for _, k := range kinds {
		for _, o := range c.informers[k.name].GetStore().List() {
			o := o.(*unstructured.Unstructured)
			if wanted[o.GetKind()+" "+o.GetName()] || o.GetDeletionTimestamp() != nil || !applies(o) {
				continue
			}
			errs = append(errs, c.remove(ctx, k, o))
		}
	}
	return errors.Join(errs...)
}

// Remove removes all that the operator made, and says what is still there. It is called again until nothing is.
func (c *Cluster) Remove(ctx context.Context) (left []string, err error) {
	clear(c.applied)
	var errs []error
	for _, k := range kinds {
		var options metav1.ListOptions
		k.selectOurs(&options)
		list, err := c.objects(k).List(ctx, options) // what was made a moment ago is in no cache yet
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", k.resource.Resource, err))
			left = append(left, k.resource.Resource)
			continue
		}
		for i := range list.Items {
			o := &list.Items[i]
			if !applies(o) {
				continue
			}
			left = append(left, k.name+" "+o.GetName())
			if o.GetDeletionTimestamp() == nil {
				errs = append(errs, c.remove(ctx, k, o))
			}
		}
	}
	return left, errors.Join(errs...)
}

// applies says that the operator applied something of an object that has its label, which anybody may put on what is his.
func applies(o *unstructured.Unstructured) bool {
	bare := o.DeepCopy()
	bare.SetLabels(nil)
	return ours(bare)
}

func (c *Cluster) remove(ctx context.Context, k kind, o *unstructured.Unstructured) error {
	uid, background := o.GetUID(), metav1.DeletePropagationBackground
	err := c.objects(k).Delete(ctx, o.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s %s: %w", k.name, o.GetName(), err)
	}
	c.log.Info("removed an object", "event", "objectRemoved", "kind", k.name, "name", o.GetName())
	return nil
}
