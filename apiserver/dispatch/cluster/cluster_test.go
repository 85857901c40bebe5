package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/test/await"
)

func kept(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "someone"}},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "metallb.io/allow-shared-ip": "x"},
	}
}

// eventually waits for a condition.
var eventually = await.True

func TestStateHasWhatThePlannerReadsAndNoMore(t *testing.T) {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: kept("default", "web-1"), Endpoints: []discoveryv1.Endpoint{{
		Addresses: []string{"10.1.1.1"}, TargetRef: &corev1.ObjectReference{Name: "pod"},
	}}}
	slice.Labels[discoveryv1.LabelServiceName] = "web"
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Status: corev1.NodeStatus{
		Images:     []corev1.ContainerImage{{Names: []string{"big"}}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
	}}
	secret := &corev1.Secret{ObjectMeta: kept("metallb-system", "peer"), Type: corev1.SecretTypeBasicAuth,
		Data: map[string][]byte{"password": []byte("p"), "tls.key": []byte("k")}}
	client := fake.NewClientset(&corev1.Service{ObjectMeta: kept("default", "web")}, slice, node, secret,
		&corev1.Secret{ObjectMeta: kept("default", "not-ours")})
	var changes atomic.Int64
	c, err := New(client, "metallb-system", func() { changes.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Missing()) != 4 {
		t.Errorf("missing before the start: %v", c.Missing())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx, func() { changes.Add(1) }) }()
	defer func() { cancel(); <-ended }()
	eventually(t, "everything was read", func() bool { return len(c.Missing()) == 0 && changes.Load() >= 5 })

	s, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	if len(s.Services) != 1 || s.Services[0].ManagedFields != nil || s.Services[0].Annotations[corev1.LastAppliedConfigAnnotation] != "" || s.Services[0].Annotations["metallb.io/allow-shared-ip"] != "x" {
		t.Errorf("services %+v", s.Services)
	}
	if got := s.EndpointSlices[web]; len(got) != 1 || got[0].Endpoints[0].TargetRef != nil || got[0].Endpoints[0].Addresses[0] != "10.1.1.1" {
		t.Errorf("slices %+v", got)
	}
	if len(s.Nodes) != 1 || s.Nodes[0].Status.Images != nil || !s.Nodes[0].Status.Conditions[0].LastHeartbeatTime.IsZero() || s.Nodes[0].Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Errorf("nodes %+v", s.Nodes)
	}
	if diff := cmp.Diff(map[string][]byte{"password": []byte("p")}, s.Secrets["peer"].Data); diff != "" || len(s.Secrets) != 1 {
		t.Errorf("%d secrets, peer (-want +got):\n%s", len(s.Secrets), diff)
	}
	if _, ok := c.Service(web); !ok {
		t.Error("the Service is not found by name")
	}
	if _, ok := c.Service(types.NamespacedName{Namespace: "default", Name: "other"}); ok {
		t.Error("a Service that does not exist is found")
	}

	// The client of the test forgets what happens between the list of an informer and its watch.
	eventually(t, "Nodes are watched", func() bool {
		return slices.ContainsFunc(client.Actions(), func(a kubetesting.Action) bool { return a.Matches("watch", "nodes") })
	})
	before := changes.Load()
	labelled := node.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	if _, err := client.CoreV1().Nodes().Update(t.Context(), labelled, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new label is a change", func() bool { return changes.Load() > before })
}

func TestHeartbeatsOfNodesAreNoChange(t *testing.T) {
	calls := 0
	handler := onChange(func() { calls++ })
	version := func(v string, change func(*corev1.Node)) any {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1", ResourceVersion: v}, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		}}
		change(n)
		kept, err := strip(n)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	same := func(*corev1.Node) {}
	handler.OnUpdate(version("1", same), version("2", func(n *corev1.Node) {
		n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Now().Add(time.Hour))
	}))
	if calls != 0 {
		t.Error("a heartbeat counted as a change")
	}
	handler.OnUpdate(version("2", same), version("3", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }))
	if calls != 1 {
		t.Error("a node that became unready did not count")
	}
}
