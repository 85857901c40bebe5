package standin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// container is a process that does what the test says.
type container struct {
	ready, alive bool
	stuck        bool // answers nothing
	starts       int
	stopped      bool
}

func (c *container) Ready(ctx context.Context) error {
	if c.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	if !c.ready {
		return errors.New("not ready")
	}
	return nil
}
func (c *container) Alive() bool                { return c.alive }
func (c *container) Starts() int                { return c.starts }
func (c *container) Stop(context.Context) error { c.stopped, c.alive = true, false; return nil }

func newPod(c Container) Pod {
	return Pod{
		Namespace: "default", Name: "web-node1", Node: "node1", ServiceAccount: "default",
		Labels:  map[string]string{"app": "web"},
		HostIPs: []netip.Addr{netip.MustParseAddr("172.30.0.11")},
		IPs:     []netip.Addr{netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("fd44:0:0:1::2")}, Container: c,
	}
}

func get(t *testing.T, client *fake.Clientset) *corev1.Pod {
	t.Helper()
	pod, err := client.CoreV1().Pods("default").Get(t.Context(), "web-node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func isReady(pod *corev1.Pod) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status
		}
	}
	return "absent"
}

func TestReadinessFollowsTheProcess(t *testing.T) {
	client := fake.NewClientset()
	k := New(client, slog.New(slog.DiscardHandler))
	c := &container{}
	if err := k.Ensure(t.Context(), newPod(c)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ready, alive bool
		starts       int
		want         corev1.ConditionStatus
		restarts     int32
	}{
		{false, true, 1, corev1.ConditionFalse, 0},
		{true, true, 1, corev1.ConditionTrue, 0},
		{true, false, 1, corev1.ConditionFalse, 0},
		{true, true, 2, corev1.ConditionTrue, 1},
	} {
		c.ready, c.alive, c.starts = step.ready, step.alive, step.starts
		k.observe(t.Context())
		pod := get(t, client)
		if got := isReady(pod); got != step.want || pod.Status.ContainerStatuses[0].RestartCount != step.restarts {
			t.Errorf("%+v: Ready is %s after %d restarts", step, got, pod.Status.ContainerStatuses[0].RestartCount)
		}
	}
	want := []corev1.PodIP{{IP: "10.244.1.2"}, {IP: "fd44:0:0:1::2"}}
	if diff := cmp.Diff(want, get(t, client).Status.PodIPs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// One late answer is no reason to take a Pod out of its Services, as for a kubelet with the probes of deploy/base.
func TestAProbeThatIsLateOnceChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		k := New(client, slog.New(slog.DiscardHandler))
		c := &container{alive: true, starts: 1}
		if err := k.Ensure(t.Context(), newPod(c)); err != nil {
			t.Fatal(err)
		}
		for i, step := range []struct {
			ready, stuck bool
			starts       int
			want         corev1.ConditionStatus
		}{
			{stuck: true, starts: 1, want: corev1.ConditionFalse}, // it never was
			{ready: true, starts: 1, want: corev1.ConditionTrue},
			{stuck: true, starts: 1, want: corev1.ConditionTrue},
			{ready: true, starts: 1, want: corev1.ConditionTrue},
			{stuck: true, starts: 1, want: corev1.ConditionTrue},
			{stuck: true, starts: 1, want: corev1.ConditionFalse},
			{stuck: true, starts: 1, want: corev1.ConditionFalse},
			{ready: true, starts: 1, want: corev1.ConditionTrue},
			{stuck: true, starts: 2, want: corev1.ConditionFalse}, // another process
			{ready: true, starts: 2, want: corev1.ConditionTrue},
			{ready: false, starts: 2, want: corev1.ConditionFalse}, // it says so
		} {
			c.ready, c.stuck, c.starts = step.ready, step.stuck, step.starts
			k.observe(t.Context())
			if got := isReady(get(t, client)); got != step.want {
				t.Errorf("step %d, %+v: Ready is %s", i+1, step, got)
			}
		}
	})
}

func TestUnchangedProcessCostsNoWrite(t *testing.T) {
	client := fake.NewClientset()
	k := New(client, slog.New(slog.DiscardHandler))
	if err := k.Ensure(t.Context(), newPod(&container{ready: true, alive: true, starts: 1})); err != nil {
		t.Fatal(err)
	}
	k.observe(t.Context())
	before := len(client.Actions())
	k.observe(t.Context())
	if made := client.Actions()[before:]; len(made) > 0 {
		t.Errorf("requests about a process that did not change: %v", made)
	}
}

// A write may succeed though its answer is lost, as when the kube-apiserver is killed.
func TestAWriteWithoutAnAnswerIsNotForgotten(t *testing.T) {
	client := fake.NewClientset()
	k := New(client, slog.New(slog.DiscardHandler))
	c := &container{ready: true, alive: true, starts: 1}
	if err := k.Ensure(t.Context(), newPod(c)); err != nil {
		t.Fatal(err)
	}
	k.observe(t.Context())

	answered := false
	client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return !answered, nil, errors.New("connection reset by peer")
	})
	c.ready = false
	k.observe(t.Context())
	pod := get(t, client)
	pod.Status = newPod(c).status(observation{alive: true, starts: 1}, time.Now(), time.Now())
	if _, err := client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	answered = true
	c.ready = true
	k.observe(t.Context())
	if got := isReady(get(t, client)); got != corev1.ConditionTrue {
		t.Errorf("Ready is %s after the process became ready again", got)
	}
}

func TestDeletedPodEndsItsProcessAndGoes(t *testing.T) {
	client := fake.NewClientset()
	k := New(client, slog.New(slog.DiscardHandler))
	c := &container{alive: true}
	pod := newPod(c)
	if err := k.Ensure(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	uid, err := k.UID(pod.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.finish(t.Context(), leaving{key: pod.Key(), uid: uid}); err != nil {
		t.Fatal(err)
	}
	if !c.stopped {
		t.Error("the process still runs")
	}
	if _, err := client.CoreV1().Pods("default").Get(t.Context(), "web-node1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Pod is still there: %v", err)
	}
	if _, err := k.UID(pod.Key()); err == nil {
		t.Error("the Pod is still known, so that its next start would make none")
	}
}

func TestAnOlderPodsDeletionLeavesTheProcessAlone(t *testing.T) {
	k := New(fake.NewClientset(), slog.New(slog.DiscardHandler))
	c := &container{alive: true}
	pod := newPod(c)
	if err := k.Ensure(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := k.finish(t.Context(), leaving{key: pod.Key(), uid: "an older one", gone: true}); err != nil {
		t.Fatal(err)
	}
	if c.stopped {
		t.Error("the process of the new Pod was ended")
	}
}

func TestEnsureNeedsNobodyForAPodItMade(t *testing.T) {
	client := fake.NewClientset()
	k := New(client, slog.New(slog.DiscardHandler))
	pod := newPod(&container{})
	for range 2 {
		if err := k.Ensure(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(client.Actions()); n != 1 {
		t.Errorf("%d requests, want the one that made it", n)
	}
}

func TestRegisteredNodeIsReadyWithoutTaints(t *testing.T) {
	client := fake.NewClientset()
	err := Register(t.Context(), client, Node{
		Name: "node1", Addresses: []netip.Addr{netip.MustParseAddr("172.30.0.11"), netip.MustParseAddr("fd30::11")},
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := client.CoreV1().Nodes().Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "node1"},
		{Type: corev1.NodeInternalIP, Address: "172.30.0.11"}, {Type: corev1.NodeInternalIP, Address: "fd30::11"},
	}
	if diff := cmp.Diff(want, node.Status.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if len(node.Spec.Taints) > 0 || node.Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Errorf("taints %v, conditions %v", node.Spec.Taints, node.Status.Conditions)
	}
	if d := time.Since(node.Status.Conditions[0].LastTransitionTime.Time); d > time.Minute || d < -time.Minute {
		t.Errorf("the condition is of %s ago", d)
	}
}
