package service

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// TestMetrics: all of spec.md section 8.1 that are ours, for both kinds of pools, and none of a pool that is gone.
func TestMetrics(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.13", "2001:db8::/126")
	c.putLegacyPool("old", "198.51.100.0/30")
	ctl, _ := c.start()
	shared := annotated("metallb.io/allow-shared-ip", "k")
	asks := func(pool string) change { return annotated("metallb.io/address-pool", pool) }
	dual := func(s *corev1.Service) {
		s.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyRequireDualStack)
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	}
	c.createService("a", shared, asks("web"))
	c.awaitIP("a", "192.0.2.10")
	c.createService("b", shared, asks("web"), port(corev1.ProtocolUDP, 53))
	c.awaitIP("b", "192.0.2.10")
	c.createService("c", asks("web"), dual)
	c.awaitIP("c", "192.0.2.11,2001:db8::")
	c.createService("d", asks("old"))
	c.awaitIP("d", "198.51.100.0")
	c.createService("waits", annotated("metallb.io/loadBalancerIPs", "4.3.2.1"))
	c.awaitCondition("waits", "False NotInPool: ", "")

	metric := func(name, kind, help string, values ...string) string {
		text := fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, v := range values {
			text += name + v + "\n"
		}
		return text
	}
	perPool := func(old, web int) []string {
		return []string{fmt.Sprintf(`{pool="old"} %d`, old), fmt.Sprintf(`{pool="web"} %d`, web)}
	}
	want := metric("metallb_allocator_addresses_total", "gauge", "Number of usable IP addresses per pool", perPool(4, 8)...) +
		metric("metallb_allocator_ipv4_addresses_total", "gauge", "Number of usable IPv4 addresses per pool", perPool(4, 4)...) +
		metric("metallb_allocator_ipv6_addresses_total", "gauge", "Number of usable IPv6 addresses per pool", perPool(0, 4)...) +
		metric("metallb_allocator_addresses_in_use_total", "gauge", "Number of IP addresses in use per pool", perPool(1, 3)...) +
		metric("metallb_allocator_ipv4_addresses_in_use_total", "gauge", "Number of IPv4 addresses in use per pool", perPool(1, 2)...) +
		metric("metallb_allocator_ipv6_addresses_in_use_total", "gauge", "Number of IPv6 addresses in use per pool", perPool(0, 1)...) +
		metric("metallb_allocator_services_allocated_total", "gauge", "Number of services allocated per pool", perPool(1, 3)...) +
		metric("metallb_k8s_client_config_loaded_bool", "gauge", "1 if the MetalLB configuration was successfully loaded at least once", " 1") +
		metric("metallb_k8s_client_config_stale_bool", "gauge", "1 if running on a stale configuration, because the latest config failed to load", " 0") +
		metric("ingot_controller_services_pending", "gauge", "Number of services that wait for an IP address", " 1")
	names := []string{"metallb_allocator_addresses_total", "metallb_allocator_ipv4_addresses_total", "metallb_allocator_ipv6_addresses_total",
		"metallb_allocator_addresses_in_use_total", "metallb_allocator_ipv4_addresses_in_use_total", "metallb_allocator_ipv6_addresses_in_use_total",
		"metallb_allocator_services_allocated_total", "metallb_k8s_client_config_loaded_bool", "metallb_k8s_client_config_stale_bool",
		"ingot_controller_services_pending"}
	if err := testutil.CollectAndCompare(ctl, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	counters := []string{"metallb_k8s_client_updates_total", "metallb_k8s_client_update_errors_total"}
	if n := testutil.CollectAndCount(ctl, counters...); n != 2 || ctl.counters.updates.Load() == 0 {
		t.Errorf("%d counters of updates, %d updates", n, ctl.counters.updates.Load())
	}
	if problems, err := testutil.CollectAndLint(ctl, counters...); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}

	c.deletePool("web")
	c.await("the metrics of the pool to go", func() bool { return testutil.CollectAndCount(ctl, names[0]) == 1 })
	for _, name := range names[:7] {
		if n := testutil.CollectAndCount(ctl, name); n != 1 {
			t.Errorf("%d of %s", n, name)
		}
	}
}

// TestStandbyIsNotStale: the alert about a configuration that is not loaded is not about who has none to load.
func TestStandbyIsNotStale(t *testing.T) {
	ctl := New(Options{Log: silent()})
	if n := testutil.CollectAndCount(ctl, "metallb_k8s_client_config_loaded_bool", "metallb_k8s_client_config_stale_bool"); n != 0 {
		t.Errorf("%d metrics of a configuration", n)
	}
}

// TestCountersOfHugePools saturate, and count down from there no more than they must.
func TestCountersOfHugePools(t *testing.T) {
	c := newCluster(t)
	c.putPool("all", "2001:db8::/32")
	c.putPool("half", "2001:db9::/65")
	c.putPool("most", "0.0.0.0/1")
	c.start()
	for name, pool := range map[string]string{"a": "2001:db8::7", "h": "2001:db9::7"} {
		c.createService(name, annotated("metallb.io/loadBalancerIPs", pool), func(s *corev1.Service) {
			s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
		})
		c.awaitIP(name, pool)
	}
	c.createService("four")
	c.awaitIP("four", "0.0.0.0")
	want := map[string]v1beta1.IPAddressPoolStatus{
		"all":  {AssignedIPv6: 1, AvailableIPv6: math.MaxInt64},
		"half": {AssignedIPv6: 1, AvailableIPv6: math.MaxInt64}, // 2^63 - 1
		"most": {AssignedIPv4: 1, AvailableIPv4: 1<<31 - 1},
	}
	for name, status := range want {
		c.await("the counters of pool "+name, func() bool { return cmp.Equal(status, c.poolStatus(name)) })
	}
}

// TestPoolStatusIsWrittenSeldom: many Services, few writes; the conditions that others write are neither lost nor fought.
func TestPoolStatusIsWrittenSeldom(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.0/24")
	c.start()
	c.await("the counters of an empty pool", func() bool { return c.poolStatus("web").AvailableIPv4 == 256 })
	const condition = `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Ready","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	if err := c.pools.Patch("application/merge-patch+json").Namespace(system).Resource("ipaddresspools").Name("web").
		SubResource("status").Body([]byte(condition)).Do(c.ctx).Error(); err != nil {
		t.Fatal(err)
	}

	before, began := c.front.patches.Load(), time.Now()
	const n = 100
	for i := range n {
		c.createService(fmt.Sprintf("s%d", i))
	}
	c.await("the counters", func() bool { return c.poolStatus("web").AssignedIPv4 == n })

	patches, most := c.front.patches.Load()-before, 2+int32(time.Since(began)/poolStatusPause)
	if patches > most {
		t.Errorf("%d writes, want at most %d in the time that it took", patches, most)
	}
	if got := c.poolStatus("web").Conditions; len(got) != 1 || got[0].Type != "Ready" {
		t.Errorf("conditions %+v", got)
	}
}

// TestManyChangesOfPoolsCostFewLayouts: after a layout that took long, changes are gathered; nobody decides without them.
func TestManyChangesOfPoolsCostFewLayouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := New(Options{Log: silent()})
		ctl.mu.Lock()
		defer ctl.mu.Unlock()
		ctl.laidOut(time.Now().Add(-10 * time.Millisecond))
		if wait := ctl.layoutPause(); wait != 0 {
			t.Errorf("with nothing to do, a pause of %v", wait)
		}

		ctl.book.put(pool("a", "192.0.2.0/24"), true)
		ctl.refreshPools()
		wait := ctl.layoutPause()
		if wait != 90*time.Millisecond || ctl.desk.ips.HasPools() {
			t.Errorf("pause of %v, want 90ms; laid out at once: %v", wait, ctl.desk.ips.HasPools())
		}
		<-time.After(wait)
		ctl.refreshPools()
		if !ctl.desk.ips.HasPool("a") {
			t.Error("not laid out after the pause")
		}
	})
}
