package standin

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// stopTimeout bounds how long a deleted Pod's process may take to end.
const stopTimeout = 10 * time.Second

// leaving is a Pod that is being deleted, or gone.
type leaving struct {
	key  types.NamespacedName
	uid  types.UID
	gone bool
}

// deletions watches all Pods that are bound to a node, and finishes the deletion of those that users delete.
func (k *Pods) deletions(ctx context.Context) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[leaving]())
	bound := cache.NewFilteredListWatchFromClient(k.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll,
		func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
		})
	informer := cache.NewSharedInformer(bound, &corev1.Pod{}, 0)
	enqueue := func(object any, gone bool) {
		if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		pod, ok := object.(*corev1.Pod)
		if ok && (gone || pod.DeletionTimestamp != nil) {
			queue.Add(leaving{types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, pod.UID, gone})
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { enqueue(object, false) },
		UpdateFunc: func(_, object any) { enqueue(object, false) },
		DeleteFunc: func(object any) { enqueue(object, true) },
	})
	if err != nil {
		return err
	}
	go informer.RunWithContext(ctx)
	defer context.AfterFunc(ctx, queue.ShutDown)()
	for {
		l, shutdown := queue.Get()
		if shutdown {
			return nil
		}
		if err := k.finish(ctx, l); err != nil {
			k.log.Warn("pod deletion", "pod", l.key.String(), "error", err)
			queue.AddRateLimited(l)
		} else {
			queue.Forget(l)
		}
		queue.Done(l)
	}
}

// finish ends the process of a deleted Pod, then takes the object away as a kubelet does.
func (k *Pods) finish(ctx context.Context, l leaving) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if p := k.forget(l.key, l.uid); p != nil {
		if err := p.Container.Stop(ctx); err != nil {
			return fmt.Errorf("ending its process: %w", err)
		}
	}
	if l.gone {
		return nil
	}
	now := int64(0)
	err := k.client.CoreV1().Pods(l.key.Namespace).Delete(ctx, l.key.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &l.uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
