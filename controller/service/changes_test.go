package service

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// edit changes a Service as its owner would.
func (c *cluster) edit(name string, changes ...change) {
	c.Helper()
	c.await("an edit of Service "+name, func() bool {
		svc := c.service(name)
		for _, change := range changes {
			change(svc)
		}
		_, err := c.client.CoreV1().Services(svc.Namespace).Update(c.ctx, svc, metav1.UpdateOptions{})
		return err == nil
	})
}

func unannotated(key string) change { return func(s *corev1.Service) { delete(s.Annotations, key) } }

func port(protocol corev1.Protocol, n int32) change {
	return func(s *corev1.Service) {
		s.Spec.Ports = []corev1.ServicePort{{Protocol: protocol, Port: n}}
	}
}

func local(selector string) change {
	return func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		s.Spec.Selector = map[string]string{"app": selector}
	}
}

const cleared = `Normal ClearAssignment: current IP for "default/x" not allowed by config, will attempt for new IP assignment: `

// TestWhatMovesAnAddress is spec.md section 4.6 as users see it: what is done, where the Service then is, and what it was told.
func TestWhatMovesAnAddress(t *testing.T) {
	type spec = v1beta1.IPAddressPoolSpec
	web := func(edit func(*spec)) spec {
		s := spec{Addresses: []string{"192.0.2.0/28"}}
		if edit != nil {
			edit(&s)
		}
		return s
	}
	team := func(s *spec) {
		s.AllocateTo = &v1beta1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "web"}}}}
	}
	manual := func(s *spec) { s.AutoAssign = new(false) }
	tests := []struct {
		name   string
		first  spec
		before []change
		do     func(c *cluster)
		ip     string
		events []string // beside the first IPAllocated
	}{
		{name: "autoAssign off", first: web(nil), do: func(c *cluster) { c.putPoolSpec("web", web(manual)) }, ip: "192.0.2.0"},
		{name: "avoidBuggyIPs on", first: web(nil), do: func(c *cluster) { c.putPoolSpec("web", web(func(s *spec) { s.AvoidBuggyIPs = true })) },
			ip: "192.0.2.1", events: []string{cleared + `["192.0.2.0"] is not allowed in config`, `Normal IPAllocated: Assigned IP ["192.0.2.1"]`}},
		{name: "pool given to other namespaces", first: web(nil), do: func(c *cluster) {
			c.putPoolSpec("web", web(func(s *spec) { s.AllocateTo = &v1beta1.ServiceAllocation{Namespaces: []string{"others"}} }))
		}, ip: "198.51.100.0", events: []string{cleared + "pool web not compatible for ip assignment: it is for other namespaces", `Normal IPAllocated: Assigned IP ["198.51.100.0"]`}},
		{name: "namespace relabelled", first: web(team), do: func(c *cluster) { c.labelNamespace("team", "db") },
			ip: "198.51.100.0", events: []string{cleared + "pool web not compatible for ip assignment: it is for other namespaces", `Normal IPAllocated: Assigned IP ["198.51.100.0"]`}},
		{name: "pool shrunk", first: web(nil), do: func(c *cluster) { c.putPool("web", "192.0.2.4/30") },
			ip: "192.0.2.4", events: []string{cleared + `["192.0.2.0"] is not allowed in config`, `Normal IPAllocated: Assigned IP ["192.0.2.4"]`}},
		{name: "pool deleted, another left", first: web(nil), do: func(c *cluster) { c.deletePool("web") },
			ip: "198.51.100.0", events: []string{cleared + `["192.0.2.0"] is not allowed in config`, `Normal IPAllocated: Assigned IP ["198.51.100.0"]`}},
		{name: "last pool deleted", first: web(nil), do: func(c *cluster) { c.deletePool("zone"); c.deletePool("web") },
			events: []string{cleared + `["192.0.2.0"] is not allowed in config`}},
		{name: "a better pool", first: web(nil), do: func(c *cluster) {
			c.putPoolSpec("better", spec{Addresses: []string{"203.0.113.0/28"}, AllocateTo: &v1beta1.ServiceAllocation{Priority: 1}})
		},
			ip: "192.0.2.0"},
		{name: "another pool asked for", first: web(nil), do: func(c *cluster) { c.edit("x", annotated("metallb.io/address-pool", "zone")) },
			ip: "198.51.100.0", events: []string{`Normal IPAllocated: Assigned IP ["198.51.100.0"]`}},
		{name: "old prefix, overruled by an empty value of the new", first: web(nil), do: func(c *cluster) {
			c.edit("x", annotated("metallb.universe.tf/address-pool", "zone"), annotated("metallb.io/address-pool", ""))
		}, ip: "192.0.2.0"},
		{name: "pool no longer asked for", first: web(manual), before: []change{annotated("metallb.io/address-pool", "web")},
			do: func(c *cluster) { c.edit("x", unannotated("metallb.io/address-pool")) }, ip: "192.0.2.0"},
		{name: "address asked for", first: web(nil), do: func(c *cluster) { c.edit("x", annotated("metallb.io/loadBalancerIPs", " 192.0.2.7 ")) },
			ip: "192.0.2.7", events: []string{`Normal IPAllocated: Assigned IP ["192.0.2.7"]`}},
		{name: "address no longer asked for", first: web(nil), before: []change{func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.0" }},
			do: func(c *cluster) { c.edit("x", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "" }) }, ip: "192.0.2.0"},
		{name: "sole user's policy and ports", first: web(nil), do: func(c *cluster) { c.edit("x", local("other"), port(corev1.ProtocolUDP, 53)) }, ip: "192.0.2.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			c.labelNamespace("team", "web")
			c.putPoolSpec("web", tt.first)
			c.start()
			c.createService("x", tt.before...)
			c.awaitIP("x", "192.0.2.0")
			c.putPool("zone", "198.51.100.0/28")
			c.awaitKnown("198.51.100.15")

			tt.do(c)
			// A Service made now shows that what was done has been looked at.
			if len(tt.events) == 0 {
				c.awaitKnown("198.51.100.14")
			}
			want := append([]string{`Normal IPAllocated: Assigned IP ["192.0.2.0"]`}, tt.events...)
			if tt.name == "old prefix, overruled by an empty value of the new" {
				c.edit("x", annotated("metallb.io/loadBalancerIPs", "192.0.2.0")) // nothing is written, so nothing is deprecated
			}
			c.awaitIP("x", tt.ip)
			c.awaitEvents("x", want...)
			if tt.ip == "" {
				c.awaitCondition("x", "False NoPool: ", "there are no address pools")
			}
		})
	}
}

// awaitKnown waits until a Service that asks for the address has it, and takes it away again.
func (c *cluster) awaitKnown(ip string) {
	c.Helper()
	c.createService("probe", annotated("metallb.io/loadBalancerIPs", ip))
	c.awaitIP("probe", ip)
	c.deleteService("probe")
}

// labelNamespace gives the namespace of the tests' Services one label in place of all that it had.
func (c *cluster) labelNamespace(key, value string) {
	c.Helper()
	c.await("a label of the namespace", func() bool {
		ns, err := c.client.CoreV1().Namespaces().Get(c.ctx, "default", metav1.GetOptions{})
		if err != nil {
			return false
		}
		ns.Labels = map[string]string{key: value}
		_, err = c.client.CoreV1().Namespaces().Update(c.ctx, ns, metav1.UpdateOptions{})
		return err == nil
	})
}

// TestSharingComesAndGoes: ports, policy and key decide at any time, and who waits is let in when they allow it.
func TestSharingComesAndGoes(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	c.start()
	key := annotated("metallb.universe.tf/allow-shared-ip", "dns")
	c.createService("tcp", key, port(corev1.ProtocolTCP, 53))
	c.awaitIP("tcp", "192.0.2.10")
	c.createService("udp", key, port(corev1.ProtocolUDP, 53), local("a"))
	c.awaitCondition("udp", "False PoolFull: ", "pool web")
	c.edit("udp", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster })
	c.awaitIP("udp", "192.0.2.10")

	c.edit("udp", port(corev1.ProtocolTCP, 53))
	c.awaitIP("udp", "")
	c.awaitEvent("udp", "ClearAssignment", `port TCP/53 is already in use on "192.0.2.10" by Service default/tcp`)
	c.edit("tcp", port(corev1.ProtocolTCP, 5353))
	c.awaitIP("udp", "192.0.2.10")

	c.edit("udp", annotated("metallb.universe.tf/allow-shared-ip", "other"))
	c.awaitIP("udp", "")
	c.awaitEvent("udp", "ClearAssignment", `can't change sharing key for "default/udp", address also in use by default/tcp`)
	c.edit("tcp", annotated("metallb.universe.tf/allow-shared-ip", "other"))
	c.awaitIP("udp", "192.0.2.10")
	c.awaitIP("tcp", "192.0.2.10")
	c.await("an address to be counted once", func() bool { return c.poolStatus("web").AssignedIPv4 == 1 })
}

// TestFamiliesComeAndGo: a Service keeps what it can of its addresses.
func TestFamiliesComeAndGo(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20", "2001:db8::10-2001:db8::20")
	c.putPool("four", "198.51.100.10/32")
	c.start()
	dual := func(policy corev1.IPFamilyPolicy) change {
		return func(s *corev1.Service) {
			s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &policy, []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		}
	}
	single := func(s *corev1.Service) {
		s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
		s.Spec.IPFamilies, s.Spec.ClusterIPs = s.Spec.IPFamilies[:1], s.Spec.ClusterIPs[:1]
	}
	for name, policy := range map[string]corev1.IPFamilyPolicy{"prefers": corev1.IPFamilyPolicyPreferDualStack, "requires": corev1.IPFamilyPolicyRequireDualStack} {
		c.createService("filler")
		c.awaitIP("filler", "198.51.100.10") // the first pool by name
		c.createService(name, annotated("metallb.io/loadBalancerIPs", "192.0.2.15"))
		c.awaitIP(name, "192.0.2.15")
		c.edit(name, unannotated("metallb.io/loadBalancerIPs"), dual(policy))
		c.awaitIP(name, "192.0.2.15,2001:db8::10")
		c.awaitEvents(name, `Normal IPAllocated: Assigned IP ["192.0.2.15"]`, `Normal IPAllocated: Assigned additional IP "2001:db8::10"`)
		c.deleteService("filler") // a lower address is free now, and another pool has room
		c.edit(name, single)
		c.awaitIP(name, "192.0.2.15")
		c.awaitCondition(name, "True Allocated: ", "192.0.2.15 of pool web")
		c.deleteService(name)
	}

	c.createService("lacks", annotated("metallb.io/address-pool", "four"), dual(corev1.IPFamilyPolicyRequireDualStack))
	c.awaitCondition("lacks", "False FamilyUnavailable: ", "no available IPs in pool four: it has no IPv6 addresses")
	c.edit("lacks", dual(corev1.IPFamilyPolicyPreferDualStack))
	c.awaitIP("lacks", "198.51.100.10")
	c.awaitCondition("lacks", "True OneFamily: ", "198.51.100.10 of pool four; no second one: ")
	c.putPool("four", "198.51.100.10/32", "2001:db8:4::/64")
	c.awaitIP("lacks", "198.51.100.10,2001:db8:4::")
	c.awaitCondition("lacks", "True Allocated: ", "198.51.100.10 and 2001:db8:4:: of pool four")
}

// TestTypeAndClassComeAndGo: a Service that is ours no longer says nothing of us, and gets its address back when it is.
func TestTypeAndClassComeAndGo(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	c.start()
	c.createService("low")
	c.awaitIP("low", "192.0.2.10")
	c.createService("x")
	c.awaitIP("x", "192.0.2.11")

	c.edit("x", typed(corev1.ServiceTypeClusterIP))
	svc := c.awaitCondition("x", "", "")
	c.awaitIP("x", "")
	if svc.Annotations[allocatedFrom] != "" {
		t.Errorf("annotations %v", svc.Annotations)
	}
	c.awaitEvents("x", `Normal IPAllocated: Assigned IP ["192.0.2.11"]`,
		`Normal IPReleased: Released IP ["192.0.2.11"]: the Service is no load balancer of this kind any longer`)
	c.deleteService("low")
	c.edit("x", typed(corev1.ServiceTypeLoadBalancer))
	c.awaitIP("x", "192.0.2.11")

	c.edit("x", typed(corev1.ServiceTypeClusterIP))
	c.awaitCondition("x", "", "")
	c.edit("x", typed(corev1.ServiceTypeLoadBalancer), class("example.com/other"))
	c.createService("y")
	c.awaitIP("y", "192.0.2.10")
	c.awaitIP("x", "")
	c.awaitCondition("x", "", "")
	c.createService("classed", class("example.com/other"), annotated("metallb.io/loadBalancerIPs", "192.0.2.15"))
	c.createService("taker", annotated("metallb.io/loadBalancerIPs", "192.0.2.15"))
	c.awaitIP("taker", "192.0.2.15")
	c.awaitIP("classed", "")
	c.awaitEvents("classed")
}

// TestOnTheWayOut: a Service that is being deleted keeps what it has until it is gone, and gets nothing.
func TestOnTheWayOut(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	c.start()
	finalizer := func(s *corev1.Service) { s.Finalizers = []string{"service.kubernetes.io/load-balancer-cleanup"} }
	c.createService("one", finalizer)
	c.awaitIP("one", "192.0.2.10")
	c.createService("two", finalizer)
	c.awaitCondition("two", "False PoolFull: ", "")
	c.createService("three")
	c.deleteService("two")
	c.deleteService("one")
	c.awaitCondition("three", "False PoolFull: ", "")
	c.awaitIP("one", "192.0.2.10")

	c.edit("one", func(s *corev1.Service) { s.Finalizers = nil })
	c.awaitIP("three", "192.0.2.10")
	c.awaitIP("two", "")
	c.deleteService("three")
	c.createService("four")
	c.awaitIP("four", "192.0.2.10")
	c.edit("two", func(s *corev1.Service) { s.Finalizers = nil })
}
