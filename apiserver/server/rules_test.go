package server

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func TestHostFactsBeforeAnythingIsKnown(t *testing.T) {
	facts := &hostFacts{namespace: namespace}
	if facts.Nodes() != nil || facts.Holders() != nil || facts.Terminating() {
		t.Error("something is known of nothing")
	}
}

func TestTerminatingIsTheSystemNamespaces(t *testing.T) {
	for _, tt := range []struct {
		name      string
		namespace *corev1.Namespace
		want      bool
	}{
		{"active", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, false},
		{"terminating", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}, true},
		{"another", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}, false},
	} {
		index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		if err := index.Add(tt.namespace); err != nil {
			t.Fatal(err)
		}
		facts := &hostFacts{namespace: namespace}
		lister := corelisters.NewNamespaceLister(index)
		facts.namespaces.Store(&lister)
		if got := facts.Terminating(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNodesAreTheSameUntilTheirLabelsChange(t *testing.T) {
	node := func(name, rack, heartbeat string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": rack}, ResourceVersion: heartbeat}}
	}
	facts := newNodeFacts([]*corev1.Node{node("b", "1", "1"), node("a", "1", "1")})
	if facts.nodes[0].Name != "a" {
		t.Errorf("not sorted: %v", facts.nodes)
	}
	for _, tt := range []struct {
		name  string
		known []*corev1.Node
		want  bool
	}{
		{"another order and a heartbeat", []*corev1.Node{node("a", "1", "1"), node("b", "1", "2")}, true},
		{"another label", []*corev1.Node{node("a", "1", "1"), node("b", "2", "1")}, false},
		{"another name", []*corev1.Node{node("a", "1", "1"), node("c", "1", "1")}, false},
		{"one gone", []*corev1.Node{node("a", "1", "1")}, false},
	} {
		if got := facts.still(tt.known); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
