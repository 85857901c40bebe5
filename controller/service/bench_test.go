package service

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// BenchmarkBurst compares how fast so many waiting Services get their addresses with a loop that writes one status
// and one event after the other (design.md section 12: at least 0.6 of it), and then measures one new Service among
// them, right after a delete too, and how long after a restart one that waits is served.
func BenchmarkBurst(b *testing.B) {
	const n = 2000
	for b.Loop() {
		c := newCluster(b)
		for i := range n {
			c.createService(fmt.Sprintf("s%d", i))
		}
		bare := bareLoop(c, n)

		_, stop := c.start()
		served := c.watchAddresses()
		start := time.Now()
		c.putPool("web", "10.0.0.0/16")
		for range n {
			select {
			case <-served:
			case <-c.ctx.Done():
				c.Fatal("not all have addresses")
			}
		}
		rate := n / time.Since(start).Seconds()
		b.ReportMetric(rate, "services/s")
		b.ReportMetric(rate/bare, "of-bare-loop")

		b.ReportMetric(c.oneMore(nil).Seconds()*1000, "ms-worst-new")
		victim := 0
		b.ReportMetric(c.oneMore(func() { c.deleteService(fmt.Sprintf("s%d", victim)); victim++ }).Seconds()*1000, "ms-worst-after-delete")

		stop()
		served = c.watchAddresses()
		c.createService("pending")
		start = time.Now()
		c.start()
		<-served
		b.ReportMetric(time.Since(start).Seconds()*1000, "ms-restart-to-served")
	}
}

// bareLoop returns how many Services a second one client can patch the status of and write an event about.
func bareLoop(c *cluster, n int) float64 {
	n /= 4
	start := time.Now()
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		if _, err := c.client.CoreV1().Services("default").Patch(c.ctx, name, types.MergePatchType,
			[]byte(`{"status":{"conditions":[{"type":"Bare","status":"True","reason":"Bare","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`), metav1.PatchOptions{}, "status"); err != nil {
			c.Fatal(err)
		}
		event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{GenerateName: "bare", Namespace: "default"},
			InvolvedObject: corev1.ObjectReference{Namespace: "default", Name: name, Kind: "Service"}}
		if _, err := c.client.CoreV1().Events("default").Create(c.ctx, event, metav1.CreateOptions{}); err != nil {
			c.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}

// watchAddresses tells of each Service when it first shows an address.
func (c *cluster) watchAddresses() <-chan string {
	client, err := kubernetes.NewForConfig(Compact(api.Admin()))
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.Cleanup(cancel)
	served := make(chan string, 8192)
	had := map[string]bool{}
	f := newFeed(func([]*corev1.Service) {}, func(svc *corev1.Service) {
		if len(svc.Status.LoadBalancer.Ingress) > 0 && !had[svc.Name] {
			had[svc.Name] = true
			served <- svc.Name
		}
	}, func(*corev1.Service) {})
	go f.run(ctx, client.CoreV1().RESTClient(), "services", "default", &corev1.Service{})
	<-f.synced
	return served
}

// oneMore is the worst time of 30 from the writing of a new Service to its address.
func (c *cluster) oneMore(first func()) time.Duration {
	c.Helper()
	served := c.watchAddresses()
	var worst time.Duration
	for i := range 30 {
		if first != nil {
			first()
		}
		start := time.Now()
		name := fmt.Sprintf("new%d-%d", start.UnixNano(), i)
		c.createService(name)
		for is := ""; is != name; {
			select {
			case is = <-served: // an older Service may be told of first
			case <-c.ctx.Done():
				c.Fatal("no address")
			}
		}
		worst = max(worst, time.Since(start))
	}
	return worst
}
