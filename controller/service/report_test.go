package service

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/report"
	"github.com/ingot-lb/ingot/test/await"
)

// TestReport: the Lease says which pools cannot be used, and no more of them once they can.
func TestReport(t *testing.T) {
	client := fake.NewClientset(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: report.Lease}})
	c := New(Options{Client: client, Namespace: system, Identity: "a", Log: silent()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.keepReport(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })

	var last string
	says := func(want report.Report) {
		t.Helper()
		defer func() { t.Log(last) }()
		await.True(t, "the report", func() bool {
			lease, err := client.CoordinationV1().Leases(system).Get(ctx, report.Lease, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			last = lease.Annotations[report.Annotation]
			got, err := report.Decode(lease.Annotations[report.Annotation])
			return err == nil && cmp.Equal(want, got)
		})
	}
	pool := func(address string) *v1beta1.IPAddressPool {
		return &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{address}}}
	}
	put := func(p *v1beta1.IPAddressPool) {
		c.mu.Lock()
		c.book.put(p, true)
		c.mu.Unlock()
		await.True(t, "the pools to be laid out", func() bool { // not too soon after the last time
			c.mu.Lock()
			defer c.mu.Unlock()
			c.refreshPools()
			return len(c.book.changed) == 0
		})
	}
	c.dueReport()
	says(report.Report{Holder: "a"})
	put(pool("nonsense"))
	says(report.Report{Holder: "a", Errors: []string{`pool "web": invalid CIDR "nonsense"`}})
	put(pool("192.0.2.0/28"))
	says(report.Report{Holder: "a"})
}
