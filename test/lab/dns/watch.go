package dns

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
)

// watched is the Source that follows a kube-apiserver.
type watched struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

// Watch returns what a kube-apiserver has, once all of it has been read, and follows it until ctx ends.
func Watch(ctx context.Context, client kubernetes.Interface) (Source, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	w := watched{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	factory.Start(ctx.Done())
	for _, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, errors.Join(errors.New("the Services were not read"), ctx.Err())
		}
	}
	return w, nil
}

func (w watched) Service(namespace, name string) *corev1.Service {
	service, err := w.services.Services(namespace).Get(name)
	if err != nil {
		return nil // a cache knows no error but that there is none
	}
	return service
}

func (w watched) Slices(namespace, service string) []*discoveryv1.EndpointSlice {
	all, err := w.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service}))
	if err != nil {
		return nil
	}
	return all
}

func (w watched) Services() []*corev1.Service {
	all, err := w.services.List(labels.Everything())
	if err != nil {
		return nil
	}
	return all
}

func (w watched) HasNamespace(name string) bool {
	all, err := w.services.Services(name).List(labels.Everything())
	return err == nil && len(all) > 0
}
