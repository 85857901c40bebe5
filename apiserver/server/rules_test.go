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
