package rollout

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name                          string
		generation, observed          int64
		want, updated, available, all int32
		wrong                         string
	}{
		{"done", 2, 2, 3, 3, 3, 3, ""},
		{"none wanted", 1, 1, 0, 0, 0, 0, ""},
		{"not seen", 2, 1, 3, 3, 3, 3, "has not seen it"},
		{"starting", 1, 1, 3, 3, 1, 3, "1 of 3 ready"},
		{"rolling", 2, 2, 3, 1, 3, 3, "1 of 3 of the latest"},
		{"an old one is left", 2, 2, 3, 3, 3, 4, "1 of an earlier"},
	} {
		err := complete(c.generation, c.observed, c.want, c.updated, c.available, c.all)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
}

// TestWhatIsMissingIsExplained down to the container and its log.
func TestWhatIsMissingIsExplained(t *testing.T) {
	replicas, yes := int32(1), true
	meta := metav1.ObjectMeta{Namespace: "ns", Name: "app"}
	client := fake.NewClientset(
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas}},
		&appsv1.DaemonSet{ObjectMeta: meta},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app-5d-x", Labels: map[string]string{"pod-template-hash": "5d"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "app-5d", Controller: &yes}}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}},
			}}},
		},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "other"}},
	)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := Await(ctx, client, []Workload{{"Deployment", "ns", "app"}, {"DaemonSet", "ns", "app"}})
	if err == nil {
		t.Fatal("what is not ready counts as ready")
	}
	for _, want := range []string{"Deployment ns/app: 0 of 1 ready", "Pod app-5d-x", "container main", "ErrImagePull: no such image", "| fake logs"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	for _, none := range []string{"DaemonSet", "other"} {
		if strings.Contains(err.Error(), none) {
			t.Errorf("%q in: %v", none, err)
		}
	}
}
