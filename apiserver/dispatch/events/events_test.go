package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/test/await"
)

func web(i int) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web%d", i), UID: "u"}}
}

func run(t *testing.T, r *Recorder) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// eventually waits for a condition.
var eventually = await.True

func written(t *testing.T, client *fake.Clientset) []corev1.Event {
	t.Helper()
	list, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestTheLikeIsCountedNotRepeated(t *testing.T) {
	client := fake.NewClientset()
	r := New(client.CoreV1(), slog.New(slog.DiscardHandler), func() { t.Error("an event was dropped") })
	run(t, r)
	r.NodeAssigned(web(1), "node1", "bgp")
	r.NodeAssigned(web(1), "node1", "bgp")
	r.NodeAssigned(web(1), "node2", "layer2")

	eventually(t, "two events, one counted twice", func() bool {
		counts := map[string]int32{}
		for _, e := range written(t, client) {
			counts[e.Source.Host+" "+e.Message] = e.Count
		}
		return len(counts) == 2 && counts[`node1 announcing from node "node1" with protocol "bgp"`] == 2 &&
			counts[`node2 announcing from node "node2" with protocol "layer2"`] == 1
	})
}

func TestWritingIsTriedAgainWhereThatHelps(t *testing.T) {
	client := fake.NewClientset()
	var tries, dropped atomic.Int64
	client.PrependReactor("create", "events", func(a kubetesting.Action) (bool, runtime.Object, error) {
		e := a.(kubetesting.CreateAction).GetObject().(*corev1.Event)
		switch {
		case e.InvolvedObject.Name == "web2":
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, e.Name, errors.New("no"))
		case tries.Add(1) == 1:
			return true, nil, errors.New("connection refused")
		}
		return false, nil, nil
	})
	r := New(client.CoreV1(), slog.New(slog.DiscardHandler), func() { dropped.Add(1) })
	run(t, r)
	r.NodeAssigned(web(1), "node1", "bgp")
	r.NodeAssigned(web(2), "node1", "bgp")

	eventually(t, "the first written, the second given up", func() bool {
		return len(written(t, client)) == 1 && dropped.Load() == 1
	})
	if tries.Load() != 2 {
		t.Errorf("%d tries, want 2", tries.Load())
	}
}

func TestOldestMakesWay(t *testing.T) {
	dropped := 0
	r := New(fake.NewClientset().CoreV1(), slog.New(slog.DiscardHandler), func() { dropped++ })
	for i := range queued + 3 {
		r.NodeAssigned(web(i), "node1", "bgp")
	}
	if dropped != 3 || len(r.queue) != queued {
		t.Errorf("%d dropped, %d queued; want 3, %d", dropped, len(r.queue), queued)
	}
	if first := r.dequeue(); first.InvolvedObject.Name != "web3" {
		t.Errorf("the oldest left is of %s, want web3", first.InvolvedObject.Name)
	}
}
