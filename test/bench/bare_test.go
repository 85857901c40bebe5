package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// bareEnv makes this program the bare loop over the Services that its value names: from, to, and a kubeconfig.
const bareEnv = "INGOT_BENCH_BARE"

// concurrency is how many requests the controller has under way at most: 8 statuses and 4 events.
const concurrency = 12

// bareLoop has another process write Services from up to below to, and returns how long it took.
func bareLoop(ctx context.Context, b *testing.B, l *labtest.Lab, from, to int) time.Duration {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	job := fmt.Sprintf("%s=%d %d %s/kubeconfig.inside", bareEnv, from, to, l.Dir())
	out, err := l.Exec(ctx, "control", "env", job, self)
	if err != nil {
		b.Fatal(err)
	}
	took, err := time.ParseDuration(strings.TrimSpace(out))
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// bare writes one status and one event for each Service, each as large as the controller's, and prints how long it took.
func bare(ctx context.Context, job string) error {
	var from, to int
	var kubeconfig string
	if _, err := fmt.Sscan(job, &from, &to, &kubeconfig); err != nil {
		return fmt.Errorf("%s=%q: %w", bareEnv, job, err)
	}
	client, err := newClient(kubeconfig)
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().Namespaces().Get(ctx, others, metav1.GetOptions{}); err != nil { // connects
		return err
	}
	began := time.Now()
	if err := together(from, to, func(i int) error { return writeBare(ctx, client, i) }); err != nil {
		return err
	}
	fmt.Println(time.Since(began))
	return nil
}

func writeBare(ctx context.Context, client kubernetes.Interface, i int) error {
	name, ip := fmt.Sprintf("s%d", i), fmt.Sprintf("10.201.%d.%d", i/256, i%256)
	now := metav1.Now()
	patch := fmt.Sprintf(`{"metadata": {"annotations": {"metallb.io/ip-allocated-from-pool": "bare"}}, "status": {"loadBalancer": {"ingress": [{"ip": %q}]},
		"conditions": [{"type": "ingot.io/Allocated", "status": "True", "reason": "Allocated", "message": "%s of pool bare", "lastTransitionTime": %q}]}}`,
		ip, ip, now.UTC().Format(time.RFC3339))
	if _, err := client.CoreV1().Services(others).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	_, err := client.CoreV1().Events(others).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", name, now.UnixNano()), Namespace: others},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: others, Name: name},
		Type:           corev1.EventTypeNormal, Reason: "Bare", Message: fmt.Sprintf("Assigned IP [%q]", ip),
		Source: corev1.EventSource{Component: "bare"}, ReportingController: "bare",
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	return err
}

// together calls do for each number from up to below to, as many at once as the controller has requests under way.
func together(from, to int, do func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(concurrency)
	for i := from; i < to; i++ {
		g.Go(func() error { return do(i) })
	}
	return g.Wait()
}
