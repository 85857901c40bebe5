package service

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/election"
	"github.com/ingot-lb/ingot/controller/report"
)

// TestServiceLifecycle: an address comes with annotation and event, and goes back when the Service goes.
func TestServiceLifecycle(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.11", "2001:db8::/64")
	ctl, _ := c.start()

	c.createService("one")
	one := c.awaitIP("one", "192.0.2.10")
	if one.Annotations[allocatedFrom] != "web" {
		t.Errorf("annotations %v", one.Annotations)
	}
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)
	c.createService("two")
	c.awaitIP("two", "192.0.2.11")

	c.createService("three")
	c.awaitEvents("three", `Warning AllocationFailed: Failed to allocate IP for "default/three": no available IPs: pool web: of its 2 IPv4 addresses 2 in use, most by namespaces default (2)`)
	c.await("the counters of the pool", func() bool {
		return cmp.Equal(c.poolStatus("web"), v1beta1.IPAddressPoolStatus{AssignedIPv4: 2, AvailableIPv6: 1<<63 - 1})
	})
	metrics := `
# HELP metallb_allocator_ipv4_addresses_in_use_total Number of IPv4 addresses in use per pool
# TYPE metallb_allocator_ipv4_addresses_in_use_total gauge
metallb_allocator_ipv4_addresses_in_use_total{pool="web"} 2
# HELP metallb_allocator_services_allocated_total Number of services allocated per pool
# TYPE metallb_allocator_services_allocated_total gauge
metallb_allocator_services_allocated_total{pool="web"} 2
# HELP metallb_k8s_client_config_loaded_bool 1 if the MetalLB configuration was successfully loaded at least once
# TYPE metallb_k8s_client_config_loaded_bool gauge
metallb_k8s_client_config_loaded_bool 1
`
	if err := testutil.CollectAndCompare(prometheus.Collector(ctl), strings.NewReader(metrics), "metallb_allocator_ipv4_addresses_in_use_total",
		"metallb_allocator_services_allocated_total", "metallb_k8s_client_config_loaded_bool"); err != nil {
		t.Error(err)
	}

	settled := c.service("two").ResourceVersion
	c.deleteService("one")
	c.awaitIP("three", "192.0.2.10")
	c.awaitEvents("three", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`,
		`Warning AllocationFailed: Failed to allocate IP for "default/three": no available IPs: pool web: of its 2 IPv4 addresses 2 in use, most by namespaces default (2)`)
	if now := c.service("two").ResourceVersion; now != settled {
		t.Error("a settled Service was written when another was deleted")
	}

	c.edit("three", typed(corev1.ServiceTypeClusterIP))
	c.awaitIP("three", "")
	c.await("the annotation to go", func() bool { return c.service("three").Annotations[allocatedFrom] == "" })
	c.await("the counters of the pool", func() bool { return c.poolStatus("web").AssignedIPv4 == 1 })
}

// TestRestartWritesNothing: assignments are taken over as they are, and only who waits is served.
func TestRestartWritesNothing(t *testing.T) {
	c := newCluster(t)
	const n = 100
	c.putPool("web", fmt.Sprintf("192.0.2.1-192.0.2.%d", n))
	_, stop := c.start()
	for i := range n {
		c.createService(fmt.Sprintf("s%d", i))
	}
	c.await("all to have addresses", func() bool {
		for name, svc := range c.services() {
			if name != "kubernetes" && len(svc.Status.LoadBalancer.Ingress) == 0 {
				return false
			}
		}
		return true
	})
	stop()
	before := c.services()
	c.deleteService("s7")
	freed := before["s7"].Status.LoadBalancer.Ingress[0].IP
	delete(before, "s7")
	c.createService("new")

	c.start()
	c.awaitIP("new", freed)

	after := c.services()
	for name, svc := range before {
		if after[name].ResourceVersion != svc.ResourceVersion {
			t.Errorf("Service %s was written", name)
		}
	}
}

// TestLostStoreMovesNothing: pools that are missing from a list take nothing away, and what they had stays taken.
func TestLostStoreMovesNothing(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	ctl, stop := c.start()
	c.createService("one")
	settled := c.awaitIP("one", "192.0.2.10").ResourceVersion
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)

	c.front.loseStore()
	c.await("the controller to see no pools", func() bool { names, _ := ctl.poolCounts(); return len(names) == 0 })
	stop()
	c.start() // nor does a restart change it
	c.createService("two")
	c.front.restore()
	c.awaitIP("two", "192.0.2.11")

	if now := c.service("one").ResourceVersion; now != settled {
		t.Error("the Service was written")
	}
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)
}

// TestPoolShrinkNeverMovesOtherServices: what is seen to lose its place moves, and nobody else does.
func TestPoolShrinkNeverMovesOtherServices(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.11")
	c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	c.createService("two")
	settled := c.awaitIP("two", "192.0.2.11").ResourceVersion

	c.putPool("web", "192.0.2.11-192.0.2.12")

	c.awaitIP("one", "192.0.2.12")
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`,
		`Normal ClearAssignment: current IP for "default/one" not allowed by config, will attempt for new IP assignment: ["192.0.2.10"] is not allowed in config`,
		`Normal IPAllocated: Assigned IP ["192.0.2.12"]`)
	if now := c.service("two").ResourceVersion; now != settled {
		t.Error("the other Service was written")
	}

	c.deletePool("web")
	c.awaitIP("one", "")
	c.awaitIP("two", "")
}

// TestPoolDeletedWhileNobodyWorked: the address is kept, and says so; it is given up for another one once a pool is seen to
// give it up, and is as any other once a pool has it again.
func TestPoolDeletedWhileNobodyWorked(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.11")
	_, stop := c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)
	stop()
	c.deletePool("web")
	c.putPool("other", "192.0.2.20-192.0.2.21")
	c.start()
	c.awaitCondition("one", "True Kept: ", "last of pool web")
	c.awaitIP("one", "192.0.2.10")

	c.putPool("web", "192.0.2.10-192.0.2.11")
	c.awaitCondition("one", "True Allocated: ", "192.0.2.10 of pool web")
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)

	c.deletePool("web")
	c.awaitIP("one", "192.0.2.20")
	c.awaitCondition("one", "True Allocated: ", "192.0.2.20 of pool other")
}

// TestRangeMovesBetweenPools: two writes move it, and the address stays although it is of no pool in between.
func TestRangeMovesBetweenPools(t *testing.T) {
	c := newCluster(t)
	c.putPool("old", "192.0.2.10-192.0.2.20")
	c.start(func(o *Options) { o.evictionGrace = time.Hour })
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")

	c.deletePool("old")
	c.putPool("renamed", "192.0.2.10-192.0.2.20")

	c.await("the annotation to follow", func() bool { return c.service("one").Annotations[allocatedFrom] == "renamed" })
	c.awaitIP("one", "192.0.2.10")
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)
}

// TestKubeAPIServerAway: nothing but waiting, and nothing is written when it returns.
func TestKubeAPIServerAway(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	c.start()
	c.createService("one")
	settled := c.awaitIP("one", "192.0.2.10").ResourceVersion

	api.StopAPI()
	if err := api.StartAPI(c.ctx); err != nil {
		t.Fatal(err)
	}

	// It may be ready a moment before it can give cluster IPs.
	c.await("another Service to be taken", func() bool {
		svc := newService("two")
		svc.Spec.ClusterIPs = nil
		_, err := c.client.CoreV1().Services("default").Create(c.ctx, svc, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err)
	})
	c.awaitIP("two", "192.0.2.11")
	if now := c.service("one").ResourceVersion; now != settled {
		t.Error("the Service was written")
	}
}

// TestElection: one works, the other takes over when the first stops.
func TestElection(t *testing.T) {
	c := newCluster(t)
	client, err := kubernetes.NewForConfig(api.Config("controller"))
	if err != nil {
		t.Fatal(err)
	}
	working := make(chan string)
	run := func(identity string) (*election.Election, func()) {
		e := &election.Election{Lease: report.Lease, Client: client, Namespace: system, Identity: identity, Log: silent()}
		ctx, cancel := context.WithCancel(c.ctx)
		done := make(chan error, 1)
		go func() {
			done <- e.Run(ctx, func(ctx context.Context) error {
				select {
				case working <- identity:
					<-ctx.Done()
				case <-ctx.Done():
				}
				return nil
			})
		}()
		return e, func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", identity, err)
			}
		}
	}

	_, stopA := run("a")
	if got := <-working; got != "a" {
		t.Fatalf("%s works", got)
	}
	b, stopB := run("b")
	c.await("b to stand by", b.Standby)

	stopA()
	lease, err := client.CoordinationV1().Leases(system).Get(c.ctx, report.Lease, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); holder == "a" {
		t.Error("the lease was not released")
	}
	if got := <-working; got != "b" {
		t.Fatalf("%s works", got)
	}
	stopB()
}
