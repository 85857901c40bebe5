package server

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// BenchmarkGuardedWriteAmongPools updates one pool after the other through the whole server and etcd and
// tells how long one write takes among 10,000 pools and among 10.
func BenchmarkGuardedWriteAmongPools(b *testing.B) {
	median := func(n int) time.Duration {
		client, err := dynamic.NewForConfig(serveAlone(b))
		if err != nil {
			b.Fatal(err)
		}
		objects := client.Resource(samples[0].resource).Namespace(namespace)
		spec := func(i, length int) map[string]any {
			return map[string]any{"addresses": []any{fmt.Sprintf("10.%d.%d.0/%d", i/250, i%250, length)}}
		}
		ctx := context.Background()
		for i := range n {
			if _, err := objects.Create(ctx, samples[0].object(fmt.Sprint("pool-", i), spec(i, 25)), metav1.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		var took []time.Duration
		for i := range 200 {
			at := i * 7 % n
			old, err := objects.Get(ctx, fmt.Sprint("pool-", at), metav1.GetOptions{})
			if err != nil {
				b.Fatal(err)
			}
			old.Object["spec"] = spec(at, 26+i%3)
			began := time.Now()
			if _, err := objects.Update(ctx, old, metav1.UpdateOptions{}); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	for b.Loop() {
		few, many := median(10), median(10000)
		b.ReportMetric(few.Seconds()*1e3, "ms/write-10")
		b.ReportMetric(many.Seconds()*1e3, "ms/write-10000")
		b.ReportMetric(float64(many)/float64(few), "ratio")
	}
}
