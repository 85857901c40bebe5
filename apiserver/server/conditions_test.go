package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/conditions"
	"github.com/ingot-lb/ingot/apiserver/conditions/writer"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/store"
)

var poolsNow = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}

// keepConditions does the hub's part: the configuration as it is stored, nothing withheld.
func keepConditions(t *testing.T, s *store.Store, epoch uint64, objects writer.Objects) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var to planned
	ended := make(chan struct{}, 2)
	go func() {
		to.keep(ctx, writer.New(objects, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))))
		ended <- struct{}{}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		for range s.Changed(ctx) {
			c, _, err := s.Snapshot(ctx)
			if err != nil {
				continue // the next signal will do
			}
			to.set(&dispatch.Planned{Epoch: epoch, Config: c, Secrets: map[string]*corev1.Secret{}})
		}
	}()
	return func() { cancel(); <-ended; <-ended }
}

// conditionsOf reads the conditions of an object.
func conditionsOf(u *unstructured.Unstructured) ([]metav1.Condition, error) {
	status, _, err := unstructured.NestedMap(u.Object, "status")
	if err != nil {
		return nil, err
	}
	var into struct {
		Conditions []metav1.Condition `json:"conditions"`
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(status, &into)
	return into.Conditions, err
}

func TestConditionsAreWrittenBesideWhatOthersWrite(t *testing.T) {
	host, s, objects := serveObjects(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true})
	stop := keepConditions(t, s, 1, objects)
	stopped := false
	defer func() {
		if !stopped {
			stop()
		}
	}()
	client, err := dynamic.NewForConfig(host)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	pools, peers := client.Resource(poolsNow).Namespace(namespace), client.Resource(peersNow).Namespace(namespace)
	profiles := client.Resource(poolsNow.GroupVersion().WithResource("bfdprofiles")).Namespace(namespace)

	awaitCondition := func(r dynamic.ResourceInterface, name, condition string, status metav1.ConditionStatus) (found metav1.Condition) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s of %s is %s", condition, name, status), func() error {
			u, err := r.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			all, err := conditionsOf(u)
			if err != nil {
				return err
			}
			c := apimeta.FindStatusCondition(all, condition)
			if c == nil || c.Status != status || c.ObservedGeneration != u.GetGeneration() {
				return fmt.Errorf("conditions %v, generation %d", all, u.GetGeneration())
			}
			found = *c
			return nil
		})
		return found
	}

	created, err := pools.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"name": "web", "namespace": namespace},
		"spec": map[string]any{"addresses": []any{"10.0.0.0/24"}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, guard, err := s.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	awaitCondition(pools, "web", "Ready", metav1.ConditionTrue)

	// The controller's counters, a condition of somebody's own, and ours stay beside each other.
	body := []byte(`{"status":{"assignedIPv4":3,"assignedIPv6":0,"availableIPv4":253,"availableIPv6":0}}`)
	if _, err := pools.Patch(ctx, "web", types.MergePatchType, body, metav1.PatchOptions{FieldManager: "controller"}, "status"); err != nil {
		t.Fatal(err)
	}
	theirs := fmt.Sprintf(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"web","namespace":%q},"status":{"conditions":[
		{"type":"Audited","status":"True","reason":"Mine","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, namespace)
	if _, err := pools.Patch(ctx, "web", types.ApplyPatchType, []byte(theirs), metav1.PatchOptions{FieldManager: "auditor"}, "status"); err != nil {
		t.Fatal(err)
	}
	_, still, err := s.Snapshot(ctx)
	if err != nil || still != guard {
		t.Errorf("the configuration revision moved from %d to %d by writes of the status (%v)", guard, still, err)
	}
	if _, err := pools.Patch(ctx, "web", types.MergePatchType, []byte(`{"spec":{"avoidBuggyIPs":true}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(pools, "web", "ReferencesResolved", metav1.ConditionTrue)
	got, err := pools.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := conditionsOf(got)
	if err != nil {
		t.Fatal(err)
	}
	assigned, _, _ := unstructured.NestedInt64(got.Object, "status", "assignedIPv4")
	if len(all) != 3 || apimeta.FindStatusCondition(all, "Audited") == nil || assigned != 3 {
		t.Errorf("status %v", got.Object["status"])
	}
	first, err := conditionsOf(created)
	if err != nil || len(first) != 0 {
		t.Errorf("conditions on create: %v, %v", first, err)
	}
	managers := map[string]string{}
	for _, m := range got.GetManagedFields() {
		if m.Subresource == "status" {
			managers[m.Manager] = string(m.Operation)
		}
	}
	if diff := cmp.Diff(map[string]string{"controller": "Update", "auditor": "Apply", conditionsManager: "Apply"}, managers); diff != "" {
		t.Errorf("managers of the status (-want +got):\n%s", diff)
	}

	// From False to True when the reference appears, and back.
	if _, err := peers.Create(ctx, peerObject(t, "v1beta2", `{"myASN":1,"peerASN":2,"peerAddress":"10.0.0.1","bfdProfile":"fast"}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	missing := awaitCondition(peers, "tor", "ReferencesResolved", metav1.ConditionFalse)
	if missing.Reason != "ProfileNotFound" || missing.Message != `spec.bfdProfile: BFDProfile "fast" does not exist` {
		t.Errorf("%+v", missing)
	}
	awaitCondition(peers, "tor", "Ready", metav1.ConditionFalse)
	if _, err := profiles.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile", "metadata": map[string]any{"name": "fast", "namespace": namespace}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(peers, "tor", "ReferencesResolved", metav1.ConditionTrue)
	awaitCondition(peers, "tor", "Ready", metav1.ConditionTrue)
	awaitCondition(client.Resource(poolsNow.GroupVersion().WithResource("bgppeers")).Namespace(namespace), "tor", "Ready", metav1.ConditionTrue)

	// Another leader finds everything as it should be.
	awaitCondition(profiles, "fast", "Ready", metav1.ConditionTrue)
	stop()
	stopped = true
	counting := &countingObjects{Objects: objects}
	stopNext := keepConditions(t, s, 2, counting)
	defer stopNext()
	eventually(t, "the other has looked", func() error {
		if counting.lists.Load() == 0 {
			return errors.New("it has not")
		}
		return nil
	})
	if _, err := profiles.Patch(ctx, "fast", types.MergePatchType, []byte(`{"spec":{"detectMultiplier":5}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(profiles, "fast", "Ready", metav1.ConditionTrue)
	if n := counting.applies.Load(); n != 1 {
		t.Errorf("another leader wrote %d times, want once: for the change", n)
	}
}

// countingObjects counts.
type countingObjects struct {
	writer.Objects
	lists, applies atomic.Int64
}

func (c *countingObjects) List(ctx context.Context, fresh bool) ([]metallb.Conditioned, error) {
	c.lists.Add(1)
	return c.Objects.List(ctx, fresh)
}

func (c *countingObjects) Apply(ctx context.Context, v conditions.Verdict) (string, error) {
	c.applies.Add(1)
	return c.Objects.Apply(ctx, v)
}
