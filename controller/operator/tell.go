package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/operator/apply"
	"github.com/ingot-lb/ingot/controller/operator/conditions"
)

// component is who events are from.
const component = "metallb-operator"

// told is what users and OLM were told.
type told struct {
	broadcaster record.EventBroadcaster
	events      record.EventRecorder
	olm         *metav1.Condition // nil before OLM was told
}

func newTold(ctx context.Context, client kubernetes.Interface, namespace string) told {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(namespace)})
	return told{broadcaster: b, events: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component})}
}

func (t *told) stop() { t.broadcaster.Shutdown() }

// event tells of a MetalLB object that something is well, or not.
func (t *told) event(m *v1beta1.MetalLB, well bool, reason, message string) {
	kind := corev1.EventTypeWarning
	if well {
		kind = corev1.EventTypeNormal
	}
	t.events.Event(&corev1.ObjectReference{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "MetalLB", Namespace: m.Namespace, Name: m.Name,
		UID: m.UID, ResourceVersion: m.ResourceVersion}, kind, reason, message)
}

// report says what is known of the installation, to everybody.
func (o *Operator) report(ctx context.Context, m *v1beta1.MetalLB, in conditions.Input) error {
	in.Generation = m.Generation
	now := conditions.Of(in, m.Status.Conditions, metav1.NewTime(time.Now().Truncate(time.Second)))
	o.conditions(now)
	if err := o.tell(ctx, m, now); err != nil {
		return err
	}
	return o.tellOLM(ctx, meta.FindStatusCondition(now, conditions.Upgradeable))
}

// tell writes conditions where they are news, and makes an event of each that has become another.
func (o *Operator) tell(ctx context.Context, m *v1beta1.MetalLB, now []metav1.Condition) error {
	if equality.Semantic.DeepEqual(inOrder(m.Status.Conditions, now), now) {
		return nil
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1beta1.MetalLBStatus{Conditions: now})
	if err != nil {
		return fmt.Errorf("conditions of the MetalLB object: %w", err)
	}
	patch := declare(m)
	patch.Object["status"] = status
	_, err = o.Dynamic.Resource(installations).Namespace(o.Namespace).Apply(ctx, m.Name, patch,
		metav1.ApplyOptions{FieldManager: apply.FieldManager, Force: true}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("conditions of the MetalLB object: %w", err)
	}
	for _, c := range now {
		old := meta.FindStatusCondition(m.Status.Conditions, c.Type)
		if old != nil && old.Status == c.Status || old == nil && c.Status != metav1.ConditionTrue {
			continue
		}
		reason := c.Type
		if c.Status != metav1.ConditionTrue {
			reason = "Not" + c.Type
		}
		o.Log.Info("a condition changed", "event", "conditionChanged", "name", m.Name, "condition", c.Type, "status", c.Status, "reason", c.Reason, "message", c.Message)
		o.told.event(m, well(c), reason, strings.TrimSuffix(c.Reason+": "+c.Message, ": "))
	}
	return nil
}

// inOrder are the conditions that there were, in the order of those that shall be, so that the two can be compared.
func inOrder(before, now []metav1.Condition) (ordered []metav1.Condition) {
	for _, c := range now {
		if old := meta.FindStatusCondition(before, c.Type); old != nil {
			ordered = append(ordered, *old)
		}
	}
	return ordered
}

// well says that a condition that became what it is is nothing to worry about.
func well(c metav1.Condition) bool {
	switch c.Type {
	case conditions.Degraded:
		return c.Status != metav1.ConditionTrue
	case conditions.Available:
		return c.Status == metav1.ConditionTrue
	}
	return true
}

var operatorConditions = schema.GroupVersionResource{Group: "operators.coreos.com", Version: "v2", Resource: "operatorconditions"}

// tellOLM says whether the next version may come, where OLM installed the operator.
func (o *Operator) tellOLM(ctx context.Context, upgradeable *metav1.Condition) error {
	if o.OperatorCondition == "" || equality.Semantic.DeepEqual(o.told.olm, upgradeable) {
		return nil
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"conditions": []metav1.Condition{*upgradeable}}})
	if err != nil {
		return fmt.Errorf("the OperatorCondition: %w", err)
	}
	_, err = o.Dynamic.Resource(operatorConditions).Namespace(o.Namespace).Patch(ctx, o.OperatorCondition, types.MergePatchType, body, metav1.PatchOptions{FieldManager: apply.FieldManager})
	if err != nil {
		return fmt.Errorf("patch OperatorCondition %s: %w", o.OperatorCondition, err)
	}
	o.told.olm = upgradeable
	return nil
}
