package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/test/guard"
)

// BenchmarkGuardedWrites measures updates of pools through whole API servers and an etcd that syncs its disk: with the
// guard, without it (as Kubernetes writes), and with the writers spread over two servers. The three take turns, so that
// what else the machine does hits all alike. It prints a table, and reports the two figures that are aimed at.
func BenchmarkGuardedWrites(b *testing.B) {
	for b.Loop() {
		var table strings.Builder
		fmt.Fprintf(&table, "\n%-8s%-9s%-20s%10s%10s%10s%14s\n", "pools", "writers", "", "writes/s", "p50 ms", "p99 ms", "of unguarded")
		alone := map[int]time.Duration{} // one writer's p50 with the guard, by the number of pools
		for _, pools := range []int{10, 10000} {
			for _, n := range []int{1, 64} {
				stored := max(pools, n) // each writer has its own
				s := newScales(b, stored)
				const whole, without = 0, 1 // of names
				names := []string{"guarded", "unguarded", "guarded, 2 servers"}
				addresses := [][]*process{{s.first}, {s.plain}, {s.first, s.second}}
				took := make([][]time.Duration, len(names))
				lasted := make([]time.Duration, len(names))
				for range rounds {
					for i, at := range addresses {
						times, whole := s.write(b, at, n, 256/n)
						took[i] = append(took[i], times...)
						lasted[i] += whole
					}
				}
				rate := func(i int) float64 { return float64(len(took[i])) / lasted[i].Seconds() }
				for i, name := range names {
					slices.Sort(took[i])
					fmt.Fprintf(&table, "%-8d%-9d%-20s%10.0f%10.1f%10.1f%14.2f\n", stored, n, name, rate(i),
						milliseconds(quantile(took[i], 50)), milliseconds(quantile(took[i], 99)), rate(i)/rate(without))
				}
				if n == 1 {
					alone[pools] = quantile(took[whole], 50)
					b.ReportMetric(milliseconds(quantile(took[whole], 99)), fmt.Sprintf("ms-p99/%d-pools", pools))
				}
				s.close()
			}
		}
		b.ReportMetric(float64(alone[10000])/float64(alone[10]), "10000-pools/10-pools")
		fmt.Print(table.String()) // a benchmark's log is cut off
	}
}

// rounds is how often each way of writing has its turn.
const rounds = 4

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

// scales are the servers that are measured, each on an etcd that holds the same pools; guarded ones share theirs.
type scales struct {
	client               *client
	first, second, plain *process
	close                func()
	changes              int
}

func newScales(b *testing.B, pools int) *scales {
	b.Helper()
	shared, other := filledEtcd(b, pools), filledEtcd(b, pools)
	s := &scales{client: newClient()}
	s.first = startProcess(b, store.Endpoint(shared), guarded)
	s.second = startProcess(b, store.Endpoint(shared), guarded)
	s.plain = startProcess(b, store.Endpoint(other), absent)
	s.close = func() {
		for _, p := range []*process{s.first, s.second, s.plain} {
			p.kill()
		}
		_, _ = shared.Close(), other.Close() // the connections of killed processes do not end well
	}
	for _, p := range []*process{s.first, s.second, s.plain} {
		s.write(b, []*process{p}, 1, 20) // caches fill
	}
	return s
}

// filledEtcd holds pools of a /26 each.
func filledEtcd(b *testing.B, pools int) *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), store.Options{DataDir: b.TempDir(), Scheme: install.Scheme, Codec: install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme)})
	if err != nil {
		b.Fatal(err)
	}
	var ops []clientv3.Op
	for i := range pools {
		name := "pool-" + strconv.Itoa(i)
		spec, err := json.Marshal(poolSpec(i, 26))
		if err != nil {
			b.Fatal(err)
		}
		value := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q,"uid":%q,"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":%s}`,
			kinds[guard.Pools].version, kinds[guard.Pools].kind, name, guard.Namespace, uuid.NewUUID(), spec)
		ops = append(ops, clientv3.OpPut("/registry/metallb.io/ipaddresspools/"+guard.Namespace+"/"+name, value))
		if len(ops) == 100 || i == pools-1 {
			if _, err := store.Client(s).Txn(b.Context()).Then(ops...).Commit(); err != nil {
				b.Fatal(err)
			}
			ops = nil
		}
	}
	return s
}

func poolSpec(i, bits int) guard.Spec {
	return guard.Spec{Addresses: []string{fmt.Sprintf("10.%d.%d.%d/%d", i/1000, i/4%250, i%4*64, bits)}}
}

// write has writers patch a pool each so many times, and tells how long each write and all of them took.
func (s *scales) write(b *testing.B, at []*process, writers, times int) (took []time.Duration, whole time.Duration) {
	b.Helper()
	s.changes++
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			for i := range times {
				o := guard.Operation{ID: (s.changes*times+i)*writers + w, Verb: guard.Patch,
					Key: guard.Key{Resource: guard.Pools, Name: "pool-" + strconv.Itoa(w)}, Spec: poolSpec(w, 26+(s.changes+i)%3)}
				start := time.Now()
				err := s.client.do(context.Background(), at[w%len(at)].address(), &o)
				d := time.Since(start)
				if err != nil || o.Reason != "" {
					b.Errorf("%v: %v", o, err)
					return
				}
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took, time.Since(began)
}
