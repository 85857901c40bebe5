package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

func legacyPool(name string, addresses ...string) *v1beta1.AddressPool {
	return &v1beta1.AddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: system},
		Spec: v1beta1.AddressPoolSpec{Protocol: v1beta1.Layer2Protocol, Addresses: addresses}}
}

func (b *poolBook) putLegacy(t *testing.T, p *v1beta1.AddressPool) {
	t.Helper()
	stands, err := modern(p)
	if err != nil {
		t.Fatal(err)
	}
	b.enter(poolKey{p.Name, true}, stands, true)
}

// TestKindsOfPoolsAreHeardOfSeparately: the successor of a pool may be heard of before the end of its predecessor, and a
// list of one kind says nothing of the other.
func TestKindsOfPoolsAreHeardOfSeparately(t *testing.T) {
	ranges := func(b *poolBook) map[string]string {
		pools, _ := b.take()
		all := map[string]string{}
		for _, p := range pools {
			all[p.Name] += p.Ranges[0].String()
		}
		return all
	}
	b := newPoolBook()
	b.putLegacy(t, legacyPool("a", "10.0.0.0/24"))
	b.putLegacy(t, legacyPool("b", "10.1.0.0/24"))
	b.put(pool("c", "10.2.0.0/24"), true)
	whole := map[string]string{"a": "10.0.0.0/24", "b": "10.1.0.0/24", "c": "10.2.0.0/24"}
	if diff := cmp.Diff(whole, ranges(b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	b.put(pool("a", "10.0.0.0/24"), true) // made after the AddressPool was deleted, which is not known yet
	if diff := cmp.Diff(whole, ranges(b)); diff != "" {
		t.Errorf("with both (-want +got):\n%s", diff)
	}
	b.strike(poolKey{"a", true}, true)
	if diff := cmp.Diff(whole, ranges(b)); diff != "" {
		t.Errorf("with the successor (-want +got):\n%s", diff)
	}

	b.replace(nil)
	if _, seen := b.take(); cmp.Diff(map[string]bool{"a": false, "c": false}, seen) != "" {
		t.Errorf("a list without IPAddressPools changes %v", seen)
	}
	b.replaceAll(nil, true)
	if _, seen := b.take(); cmp.Diff(map[string]bool{"b": false}, seen) != "" {
		t.Errorf("a list without AddressPools changes %v", seen)
	}
}

func (c *cluster) putLegacyPool(name string, addresses ...string) {
	c.Helper()
	if err := c.pools.Post().Namespace(system).Resource("addresspools").Body(legacyPool(name, addresses...)).Do(c.ctx).Error(); err != nil {
		c.Fatal(err)
	}
}

// TestMigratingAnAddressPoolMovesNothing: it is deleted, and an IPAddressPool of its addresses made, under its name or
// another one.
func TestMigratingAnAddressPoolMovesNothing(t *testing.T) {
	c := newCluster(t)
	c.putLegacyPool("doc-example", "10.0.0.10-10.0.0.19")
	c.putLegacyPool("other", "10.0.1.10-10.0.1.19")
	c.putPool("elsewhere", "10.9.0.0/24")
	c.start(func(o *Options) { o.evictionGrace = time.Hour })
	c.createService("asks", annotated("metallb.universe.tf/address-pool", "doc-example"))
	c.createService("asks-other", annotated("metallb.io/address-pool", "other"))
	c.awaitIP("asks", "10.0.0.10")
	c.awaitIP("asks-other", "10.0.1.10")

	for _, name := range []string{"doc-example", "other"} {
		if err := c.pools.Delete().Namespace(system).Resource("addresspools").Name(name).Do(c.ctx).Error(); err != nil {
			t.Fatal(err)
		}
	}
	c.putPool("doc-example", "10.0.0.10-10.0.0.19")
	c.putPool("renamed", "10.0.1.10-10.0.1.19")
	c.await("the new pools to count the addresses", func() bool {
		return c.poolStatus("doc-example").AssignedIPv4 == 1 && c.poolStatus("renamed").AssignedIPv4 == 1
	})
	c.awaitIP("asks", "10.0.0.10")
	c.awaitIP("asks-other", "10.0.1.10")
	c.awaitEvents("asks", `Normal IPAllocated: Assigned IP ["10.0.0.10"]`,
		"Warning deprecatedAnnotation: Service uses deprecated annotation metallb.universe.tf/address-pool")
}

// TestAutoAssignOfAnAddressPool: as of an IPAddressPool.
func TestAutoAssignOfAnAddressPool(t *testing.T) {
	reserved := legacyPool("doc-example-reserved", "10.0.100.0/28")
	reserved.Spec.AutoAssign = new(false)
	b := newPoolBook()
	b.putLegacy(t, reserved)
	b.putLegacy(t, legacyPool("doc-example", "10.0.101.0/28"))
	pools, _ := b.take()
	for _, p := range pools {
		if p.AutoAssign != (p.Name == "doc-example") || p.AvoidBuggyIPs || p.Pin != nil {
			t.Errorf("%+v", p)
		}
	}
}
