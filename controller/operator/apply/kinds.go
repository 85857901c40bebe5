// Package apply keeps objects in the cluster as they are wanted: it makes them by server-side apply, puts right what others
// change of it, and removes what is no longer wanted, but never what it did not make.
package apply

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ingot-lb/ingot/controller/operator/render"
)

// FieldManager is by whose name it applies.
const FieldManager = "metallb-operator"

// kind is how objects of a kind are found. The order is that of removal: nobody is asked any more before he goes.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	// global is the one name of a kind that is not of a namespace, for which alone there is permission.
	global string
	// pods says that it has Pods, so that it must not be made anew for little.
	pods bool
}

var kinds = []kind{
	{"ValidatingWebhookConfiguration", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}, "ingot-webhooks", false},
	{"Deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "", true},
	{"DaemonSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, "", true},
	{"Service", schema.GroupVersionResource{Version: "v1", Resource: "services"}, "", false},
	{"PodDisruptionBudget", schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}, "", false},
	{"NetworkPolicy", schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, "", false},
}

// selectOurs limits a list to what may be ours.
func (k kind) selectOurs(o *metav1.ListOptions) {
	o.LabelSelector = render.ManagedByLabel + "=" + render.ManagedBy
	if k.global != "" {
		o.FieldSelector = metav1.ObjectNameField + "=" + k.global
	}
}

// ours says whether the operator made an object: it has the label, or fields that the operator applied. Whoever takes the label
// away does not make it his own; and managed fields are lost where a backup is restored.
func ours(o *unstructured.Unstructured) bool {
	return o.GetLabels()[render.ManagedByLabel] == render.ManagedBy ||
		slices.ContainsFunc(o.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
			return f.Manager == FieldManager && f.Operation == metav1.ManagedFieldsOperationApply
		})
}
