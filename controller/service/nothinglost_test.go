package service

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

func (c *cluster) putStatus(name string, changes ...change) {
	c.Helper()
	c.await("a status of Service "+name, func() bool {
		svc := c.service(name)
		for _, change := range changes {
			change(svc)
		}
		_, err := c.client.CoreV1().Services("default").UpdateStatus(c.ctx, svc, metav1.UpdateOptions{})
		return err == nil
	})
}

// TestEmptyListOfServices: a server that lists nothing has not deleted anything. Who waits gets nobody's address.
func TestEmptyListOfServices(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.11")
	c.start(c.viaFront)
	settled := map[string]string{}
	for _, name := range []string{"one", "two"} {
		c.createService(name)
		c.awaitCondition(name, "True Allocated: ", "")
		settled[name] = c.service(name).ResourceVersion
	}
	c.createService("waits")
	settled["waits"] = c.awaitCondition("waits", "False PoolFull: ", "").ResourceVersion

	c.emptyOnce("/api/v1/services", "v1", "ServiceList")
	c.putPool("web", "192.0.2.10-192.0.2.12")
	c.awaitIP("waits", "192.0.2.12")
	for _, name := range []string{"one", "two"} {
		if got := c.service(name); got.ResourceVersion != settled[name] {
			t.Errorf("Service %s was written: %+v", name, got.Status)
		}
	}

	c.createService("gone")
	c.awaitEvent("gone", "AllocationFailed", "3 in use")
	c.front.empty.Store(nil)
	c.deleteService("one") // what is gone indeed is found out, list or no list
	c.awaitIP("gone", "192.0.2.10")
}

// TestEmptyListOfNamespaces: pools for some namespaces let nobody go because namespaces are not listed.
func TestEmptyListOfNamespaces(t *testing.T) {
	c := newCluster(t)
	c.labelNamespace("team", "web")
	c.putPoolSpec("web", v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.10-192.0.2.11"}, AllocateTo: &v1beta1.ServiceAllocation{
		NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "web"}}}}})
	c.putPool("other", "198.51.100.10-198.51.100.20")
	c.start(c.viaFront)
	c.createService("one")
	settled := c.awaitCondition("one", "True Allocated: ", "192.0.2.10 of pool web").ResourceVersion

	c.emptyOnce("/api/v1/namespaces", "v1", "NamespaceList")
	c.createService("two")
	c.awaitIP("two", "198.51.100.10")

	if got := c.service("one"); got.ResourceVersion != settled {
		t.Errorf("Service one was written: %+v", got.Status)
	}
	c.awaitEvents("one", `Normal IPAllocated: Assigned IP ["192.0.2.10"]`)
}

// TestEmptyListsOfPools: of either kind, once. What was known of them comes back with the next list.
func TestEmptyListsOfPools(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.11")
	c.putLegacyPool("old", "198.51.100.10-198.51.100.11")
	c.start()
	c.createService("one", annotated("metallb.io/address-pool", "web"))
	c.createService("two", annotated("metallb.io/address-pool", "old"))
	settled := map[string]string{}
	for _, name := range []string{"one", "two"} {
		settled[name] = c.awaitCondition(name, "True Allocated: ", "").ResourceVersion
	}

	const path = "/apis/metallb.io/v1beta1/namespaces/" + system
	c.emptyOnce(path+"/ipaddresspools", "metallb.io/v1beta1", "IPAddressPoolList")
	c.emptyOnce(path+"/addresspools", "metallb.io/v1beta1", "AddressPoolList")
	c.listAnew(path + "/ipaddresspools")
	c.createService("three", annotated("metallb.io/address-pool", "web"))
	c.awaitIP("three", "192.0.2.11")
	for name, version := range settled {
		if got := c.service(name); got.ResourceVersion != version {
			t.Errorf("Service %s was written: %+v", name, got.Status)
		}
	}
}

// TestAddressPoolsAway: an API that has lost a kind of pools takes nothing away, and the other kind works on.
func TestAddressPoolsAway(t *testing.T) {
	c := newCluster(t)
	c.putLegacyPool("old", "198.51.100.10-198.51.100.11")
	ctl, stop := c.start()
	c.createService("one")
	settled := c.awaitCondition("one", "True Allocated: ", "198.51.100.10 of pool old").ResourceVersion

	c.front.old.Store(true)
	c.front.CloseClientConnections()
	c.putPool("web", "192.0.2.10-192.0.2.11")
	c.createService("two", annotated("metallb.io/address-pool", "web"))
	c.awaitIP("two", "192.0.2.10")

	stop()
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan error, 1)
	go func() { done <- ctl.Run(ctx) }()
	const what = "the AddressPools have not been read yet"
	c.await(what, func() bool { err := ctl.Ready(); return err != nil && err.Error() == what })
	c.front.old.Store(false)
	c.await("the controller to be ready", func() bool { return ctl.Ready() == nil })
	c.createService("three", annotated("metallb.io/address-pool", "old"))
	c.awaitIP("three", "198.51.100.11")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := c.service("one"); got.ResourceVersion != settled {
		t.Errorf("the Service was written: %+v", got.Status)
	}
}

// TestSomebodyElsesStatus: addresses and names that we did not give are replaced; a restart finds the same.
func TestSomebodyElsesStatus(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	c.createService("foreign")
	c.putStatus("foreign", showing("203.0.113.5"))
	c.createService("host")
	c.putStatus("host", func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}
	})
	c.createService("twins")
	c.putStatus("twins", showing("192.0.2.18", "192.0.2.19"))
	c.createService("taken")
	c.putStatus("taken", showing("192.0.2.18"))
	_, stop := c.start()

	c.awaitIP("twins", "192.0.2.18")
	c.awaitEvents("twins", `Warning nolbIPsIPFamily: Failed to retrieve LBIPs IPFamily for ["192.0.2.18" "192.0.2.19"]: only the first of a family is kept`)
	for _, name := range []string{"foreign", "host", "taken"} {
		c.awaitCondition(name, "True Allocated: ", " of pool web")
		ingress := c.service(name).Status.LoadBalancer.Ingress
		if len(ingress) != 1 || ingress[0].Hostname != "" {
			t.Errorf("Service %s shows %+v", name, ingress)
		}
	}
	c.awaitEvent("taken", "ClearAssignment", "address also in use by default/twins")

	c.putStatus("foreign", showing("192.0.2.19")) // while we know better
	c.await("what was decided to come back", func() bool {
		ip := c.service("foreign").Status.LoadBalancer.Ingress[0].IP
		return ip != "192.0.2.19"
	})
	stop()
	before := c.services()
	c.start()
	c.createService("new")
	c.awaitCondition("new", "True Allocated: ", "")
	for name, svc := range before {
		if c.service(name).ResourceVersion != svc.ResourceVersion {
			t.Errorf("Service %s was written after a restart", name)
		}
	}
}

// TestUnknownPoolPending is what MetalLB's code does.
func TestUnknownPoolPending(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	c.start(func(o *Options) { o.UnknownPools = UnknownPoolPending })
	c.createService("x", annotated("metallb.io/address-pool", "late"))
	c.awaitEvents("x", `Warning AllocationFailed: Failed to allocate IP for "default/x": unknown pool "late"`)
	c.awaitCondition("x", "False UnknownPool: ", `unknown pool "late"`)
	c.createService("mover")
	c.awaitIP("mover", "192.0.2.10")
	c.edit("mover", annotated("metallb.io/address-pool", "late"))
	c.awaitIP("mover", "")
	c.putPool("late", "198.51.100.10-198.51.100.11")
	for _, name := range []string{"x", "mover"} { // at the same time
		c.awaitCondition(name, "True Allocated: ", "of pool late")
	}
}
