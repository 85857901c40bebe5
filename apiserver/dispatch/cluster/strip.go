package cluster

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strip drops from an object what the planner never reads, before it is kept: thousands of them are. It leaves an
// object that was stripped before as it is.
func strip(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Service:
		stripMeta(&o.ObjectMeta)
	case *corev1.Node:
		stripMeta(&o.ObjectMeta)
		o.Status.Images = nil
		o.Status.VolumesAttached = nil
		o.Status.VolumesInUse = nil
		o.Status.Allocatable = nil
		o.Status.Capacity = nil
		o.Status.Config = nil
		for i := range o.Status.Conditions {
			// A heartbeat that only says "still so" must not look like a change.
			o.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	case *discoveryv1.EndpointSlice:
		stripMeta(&o.ObjectMeta)
		o.Annotations = nil
		for i := range o.Endpoints {
			o.Endpoints[i].TargetRef = nil
			o.Endpoints[i].DeprecatedTopology = nil
			o.Endpoints[i].Hints = nil
		}
	case *corev1.Secret:
		stripMeta(&o.ObjectMeta)
		o.Annotations = nil
		for key := range o.Data {
			if key != corev1.BasicAuthPasswordKey {
				delete(o.Data, key)
			}
		}
	}
	return o, nil
}

func stripMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	m.OwnerReferences = nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}
