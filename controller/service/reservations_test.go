package service

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

func twoAddresses(cooldown v1beta1.Duration, quota *v1beta1.Quota) v1beta1.IPAddressPoolSpec {
	spec := v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.10-192.0.2.11"}, Quota: quota}
	if cooldown != "" {
		spec.AllocateTo = &v1beta1.ServiceAllocation{Cooldown: &cooldown}
	}
	return spec
}

// TestReleasedAddressRests: who had it has it back at once, somebody else when it has rested.
func TestReleasedAddressRests(t *testing.T) {
	c := newCluster(t)
	c.putPoolSpec("web", twoAddresses("1h", nil))
	c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	c.createService("two")
	c.awaitIP("two", "192.0.2.11")
	c.createService("three")
	c.awaitEvent("three", "AllocationFailed", "no available IPs: pool web: of its 2 IPv4 addresses 2 in use")

	c.deleteService("one")
	c.awaitEvent("three", "AllocationFailed", "1 at rest since they were released, the first until ")
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")

	c.deleteService("one")
	const rest = 2 * time.Second
	c.putPoolSpec("web", twoAddresses(v1beta1.Duration(rest.String()), nil))
	c.awaitIP("three", "192.0.2.10") // no other event comes to its help but the end of the rest

	c.createService("four")
	c.awaitEvent("four", "AllocationFailed", "2 in use")
	released := time.Now()
	c.deleteService("two")
	c.awaitIP("four", "192.0.2.11")
	if waited := time.Since(released); waited < rest {
		t.Errorf("somebody else has the address %v after its release, want no sooner than %v", waited, rest)
	}
}

// TestReservationAtWork: who holds an address keeps it, nobody else gets it; with the reservation goes the refusal.
func TestReservationAtWork(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	r := &v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: "router", Namespace: system}, Spec: v1beta1.IPReservationSpec{
		Addresses: []string{"192.0.2.10"}, Namespace: "default", Service: "three", Reason: "in DNS"}}
	if err := c.pools.Post().Namespace(system).Resource("ipreservations").Body(r).Do(c.ctx).Error(); err != nil {
		t.Fatal(err)
	}
	const refusal = `"192.0.2.10" is reserved for Service default/three by IPReservation "router": in DNS`
	c.awaitEvent("one", "AddressReserved", refusal+" (this Service keeps it")

	c.deleteService("one")
	c.createService("two", annotated("metallb.io/loadBalancerIPs", "192.0.2.10"))
	c.awaitEvent("two", "AllocationFailed", refusal)
	c.createService("three")
	c.awaitIP("three", "192.0.2.10")
	c.deleteService("three")
	if err := c.pools.Delete().Namespace(system).Resource("ipreservations").Name("router").Do(c.ctx).Error(); err != nil {
		t.Fatal(err)
	}
	c.awaitIP("two", "192.0.2.10")
}

// TestQuotaAtWork: what a lower quota would not have given stays; a higher one lets in who waits.
func TestQuotaAtWork(t *testing.T) {
	c := newCluster(t)
	c.putPoolSpec("web", twoAddresses("", &v1beta1.Quota{PerNamespace: new(int64(1))}))
	_, stop := c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	c.createService("two")
	c.awaitEvent("two", "AllocationFailed", "quota of pool web: namespace default holds 1 of at most 1 addresses, those of default/one")

	c.putPoolSpec("web", twoAddresses("", &v1beta1.Quota{PerNamespace: new(int64(1)), Namespaces: []v1beta1.NamespaceQuota{{Name: "default", Limit: 2}}}))
	c.awaitIP("two", "192.0.2.11")

	c.putPoolSpec("web", twoAddresses("", &v1beta1.Quota{PerNamespace: new(int64(0))}))
	stop()
	c.start() // takes over what there is
	c.createService("three")
	c.awaitEvent("three", "AllocationFailed", "namespace default holds 2 of at most 0 addresses, those of default/one, default/two")
	c.awaitIP("one", "192.0.2.10")
	c.awaitIP("two", "192.0.2.11")
}
