package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// said is the condition as a test looks at it.
func said(st *state) string {
	if st == nil {
		return ""
	}
	return string(st.status()) + " " + st.reason + ": " + st.message
}

// TestCondition: every cause has its reason and a sentence that says what to look at.
func TestCondition(t *testing.T) {
	a, tiny := pool("a", "10.0.0.0/24", "2001:db8::/64"), pool("tiny", "10.0.0.7/32")
	quota := pool("q", "10.0.0.0/24")
	quota.Spec.Quota = &v1beta1.Quota{PerNamespace: new(int64(1))}
	pinned := pool("a", "10.0.0.0/24")
	pinned.Spec.AllocateTo = &v1beta1.ServiceAllocation{Namespaces: []string{"team"}}
	manual := pool("a", "10.0.0.0/24")
	manual.Spec.AutoAssign = new(false)
	at := func(list string) change { return annotated("metallb.io/loadBalancerIPs", list) }
	shared := annotated("metallb.io/allow-shared-ip", "k")
	type pools = []*v1beta1.IPAddressPool
	tests := []struct {
		name   string
		pools  pools
		others []*corev1.Service
		svc    *corev1.Service
		strict bool
		want   string
	}{
		{name: "allocated", pools: pools{a}, svc: newService("x"), want: "True Allocated: 10.0.0.0 of pool a"},
		{name: "two", pools: pools{a}, svc: newService("x", families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9", "fd96::9")),
			want: "True Allocated: 10.0.0.0 and 2001:db8:: of pool a"},
		{name: "one of two", pools: pools{tiny}, svc: newService("x", held("tiny", "10.0.0.7"), families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")),
			want: "True OneFamily: 10.0.0.7 of pool tiny; no second one: no available IPs in pool tiny: it has no IPv6 addresses"},
		{name: "of another pool than asked for", pools: pools{a}, svc: newService("x", annotated("metallb.io/address-pool", "nope")),
			want: `True Allocated: 10.0.0.0 of pool a; pool "nope", which was asked for, did not exist`},
		{name: "unknown pool, strictly", pools: pools{a}, svc: newService("x", annotated("metallb.io/address-pool", "nope")), strict: true,
			want: `False UnknownPool: unknown pool "nope"`},
		{name: "kept", pools: pools{a}, svc: newService("x", held("gone", "10.9.0.7")),
			want: "True Kept: 10.9.0.7, last of pool gone: no pool allows it any longer, and none was seen to give it up"},
		{name: "kept without any pool", svc: newService("x", held("a", "10.0.0.7")), want: "True Allocated: 10.0.0.7 of pool a"},
		{name: "asks for nonsense since", pools: pools{a}, svc: newService("x", held("a", "10.0.0.7"), at("x")),
			want: `True InvalidRequest: 10.0.0.7 of pool a; what the Service asks for now cannot be: invalid metallb.io/loadBalancerIPs: "x": invalid IP address "x"`},
		{name: "no pools", svc: newService("x"), want: "False NoPool: there are no address pools"},
		{name: "no pool for it", pools: pools{manual}, svc: newService("x"),
			want: "False NoPool: no available IPs: no pool assigns addresses to this Service automatically"},
		{name: "full", pools: pools{tiny}, others: []*corev1.Service{newService("o")}, svc: newService("x"),
			want: "False PoolFull: no available IPs: pool tiny: of its 1 IPv4 addresses 1 in use, most by namespaces default (1)"},
		{name: "full, asked for an unknown one", pools: pools{tiny}, others: []*corev1.Service{newService("o")}, svc: newService("x", annotated("metallb.io/address-pool", "nope")),
			want: `False PoolFull: no available IPs: pool tiny: of its 1 IPv4 addresses 1 in use, most by namespaces default (1); pool "nope", which was asked for, does not exist`},
		{name: "outside", pools: pools{a}, svc: newService("x", at("4.3.2.1")), want: `False NotInPool: ["4.3.2.1"] is not allowed in config`},
		{name: "not admitted", pools: pools{pinned}, svc: newService("x", annotated("metallb.io/address-pool", "a")),
			want: "False NotAdmitted: pool a not compatible for ip assignment: it is for other namespaces"},
		{name: "in use", pools: pools{a}, others: []*corev1.Service{newService("o")}, svc: newService("x", at("10.0.0.0")),
			want: `False SharingClash: can't change sharing key for "default/x", address also in use by default/o: "10.0.0.0" is shared only by Services that all have the same sharing key`},
		{name: "port in use", pools: pools{a}, others: []*corev1.Service{newService("o", shared)}, svc: newService("x", shared, at("10.0.0.0")),
			want: `False SharingClash: port TCP/80 is already in use on "10.0.0.0" by Service default/o`},
		{name: "quota", pools: pools{quota}, others: []*corev1.Service{newService("o")}, svc: newService("x"),
			want: "False QuotaExceeded: no available IPs: quota of pool q: namespace default holds 1 of at most 1 addresses, those of default/o"},
		{name: "quota of an explicit address", pools: pools{quota}, others: []*corev1.Service{newService("o")}, svc: newService("x", at("10.0.0.9")),
			want: "False QuotaExceeded: quota of pool q: namespace default holds 1 of at most 1 addresses, those of default/o"},
		{name: "family", pools: pools{tiny}, svc: newService("x", families(corev1.IPFamilyPolicySingleStack, "fd96::9")),
			want: "False FamilyUnavailable: no available IPs: pool tiny: it has no IPv6 addresses"},
		{name: "one cluster IP", pools: pools{a}, svc: newService("x", families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9")),
			want: "False FamilyUnavailable: Service requires dual stack but not enough clusterips [10.96.0.9]"},
		{name: "family of the request", pools: pools{a}, svc: newService("x", at("2001:db8::1")),
			want: `False FamilyMismatch: requested loadBalancer IP(s) ["2001:db8::1"] does not match the ipFamily of the service`},
		{name: "pool and address", pools: pools{a, pool("b", "10.1.0.0/24")}, svc: newService("x", at("10.0.0.9"), annotated("metallb.io/address-pool", "b")),
			want: `False Contradiction: requested loadBalancer IP(s) ["10.0.0.9"] is not compatible with requested address pool b`},
		{name: "both ways to ask", pools: pools{a}, svc: newService("x", at("10.0.0.9"), func(s *corev1.Service) { s.Spec.LoadBalancerIP = "10.0.0.9" }),
			want: "False Contradiction: service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP"},
		{name: "nonsense", pools: pools{a}, svc: newService("x", at("x")), want: `False InvalidRequest: invalid metallb.io/loadBalancerIPs: "x": invalid IP address "x"`},
		{name: "no cluster IP", pools: pools{a}, svc: newService("x", func(s *corev1.Service) { s.Spec.ClusterIPs = nil }),
			want: "False NoClusterIPs: the Service has no cluster IP"},
		{name: "unusable cluster IP", pools: pools{a}, svc: newService("x", func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }),
			want: `False InvalidRequest: invalid IP address "None"`},
		{name: "another class", pools: pools{a}, svc: newService("x", class("other")), want: ""},
		{name: "another type", pools: pools{a}, svc: newService("x", typed(corev1.ServiceTypeNodePort)), want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := deskWith(tt.pools...)
			if tt.strict {
				d.unknownPools = UnknownPoolPending
			}
			for _, o := range tt.others {
				d.decide(o)
			}
			if diff := cmp.Diff(tt.want, said(d.decide(tt.svc).state)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, said(d.decide(tt.svc).state)); diff != "" {
				t.Errorf("again: -want +got:\n%s", diff)
			}
		})
	}
}

// TestConditionOfReservedAndResting has the two that need more than pools.
func TestConditionOfReservedAndResting(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	r := &v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: "router", Namespace: system}, Spec: v1beta1.IPReservationSpec{Addresses: []string{"192.0.2.10"}}}
	if err := c.pools.Post().Namespace(system).Resource("ipreservations").Body(r).Do(c.ctx).Error(); err != nil {
		t.Fatal(err)
	}
	ctl, _ := c.start()
	c.createService("one")
	c.awaitCondition("one", "False Reserved: ", "1 reserved for others")
	c.createService("named", annotated("metallb.io/loadBalancerIPs", "192.0.2.10"))
	c.awaitCondition("named", "False Reserved: ", `by IPReservation "router"`)
	c.deleteService("named")
	if err := c.pools.Delete().Namespace(system).Resource("ipreservations").Name("router").Do(c.ctx).Error(); err != nil {
		t.Fatal(err)
	}
	c.awaitCondition("one", "True Allocated: ", "192.0.2.10 of pool web")

	c.putPoolSpec("web", v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.10/32"}, AllocateTo: &v1beta1.ServiceAllocation{Cooldown: new(v1beta1.Duration("1h"))}})
	c.awaitHeard(ctl, "the cooldown", func() bool { return ctl.book.pools[poolKey{name: "web"}].Spec.AllocateTo != nil })
	c.deleteService("one")
	c.createService("two", annotated("metallb.io/loadBalancerIPs", "192.0.2.10"))
	c.awaitCondition("two", "False Resting: ", "since Service default/one released it")
}

// TestConditionIsWrittenOnlyForANewCause: not for numbers, not in another try, not after a restart.
func TestConditionIsWrittenOnlyForANewCause(t *testing.T) {
	d := deskWith(pool("a", "10.0.0.0/31"))
	d.decide(newService("one"))
	d.decide(newService("two"))
	first := d.decide(newService("x")).state
	d.forget("default/one")
	two := newService("two")
	two.Namespace = "other"
	d.decide(two) // takes the place, so that other namespaces hold most

	second := d.decide(newService("x")).state
	if said(first) == said(second) || second.reason != reasonPoolFull {
		t.Errorf("who holds most has changed, the message not: %s", said(second))
	}

	stored := newService("x")
	second.tellIn(stored)
	stored.Status.Conditions[0].Message = strings.ReplaceAll(second.message, "(1)", "(7)")
	after := deskWith(pool("a", "10.0.0.0/31"))
	after.decide(newService("two"))
	after.decide(two)
	if out := after.decide(stored); !out.state.isToldBy(stored) {
		t.Errorf("after a restart a condition is written for its numbers: %s", said(out.state))
	}
}

// TestTheOrderOfTheBiggestHoldersIsNoCause: where two namespaces hold about the same, it changes with every address, and a
// write to all who wait were too much for that.
func TestTheOrderOfTheBiggestHoldersIsNoCause(t *testing.T) {
	d := deskWith(pool("a", "10.0.0.0/30"))
	take := func(namespace, name string) {
		t.Helper()
		svc := newService(name)
		svc.Namespace = namespace
		if out := d.decide(svc); len(out.addrs) != 1 {
			t.Fatalf("%s/%s got %v", namespace, name, out.addrs)
		}
	}
	for _, name := range []string{"one", "two", "three"} {
		take("default", name)
	}
	take("other", "one")
	first := d.decide(newService("x")).state
	if want := "False PoolFull: no available IPs: pool a: of its 4 IPv4 addresses 4 in use, most by namespaces default (3), other (1)"; said(first) != want {
		t.Fatalf("-want +got:\n%s", cmp.Diff(want, said(first)))
	}
	for _, name := range []string{"two", "three"} {
		d.forget("default/" + name)
		take("other", name)
	}
	if second := d.decide(newService("x")).state; second != first {
		t.Errorf("the condition changed to %s", said(second))
	}
}

// TestWhoWaitsForASharedAddressIsNotToldOfEachHolder: of an address of hundreds, a few are named, and that others come and
// go is neither an event nor a write. Of few, each is.
func TestWhoWaitsForASharedAddressIsNotToldOfEachHolder(t *testing.T) {
	d := deskWith(pool("a", "10.0.0.7/32"))
	const many = 100
	name := func(i int) string { return fmt.Sprintf("holder-%02d", i) }
	for i := range many {
		holder := newService(name(i), annotated("metallb.io/allow-shared-ip", "k"))
		holder.Spec.Ports[0].Port = int32(1000 + i)
		if out := d.decide(holder); len(out.addrs) != 1 {
			t.Fatalf("%s got %v", holder.Name, out.addrs)
		}
	}
	waits := newService("x", annotated("metallb.io/loadBalancerIPs", "10.0.0.7"), annotated("metallb.io/allow-shared-ip", "q"))
	const words = `can't change sharing key for "default/x", address also in use by `
	first := d.decide(waits)
	if got, want := said(first.state), "False SharingClash: "+words+
		`default/holder-00,default/holder-01,default/holder-02 and 97 more: "10.0.0.7" is shared under another sharing key`; got != want {
		t.Fatalf("-want +got:\n%s", cmp.Diff(want, got))
	}
	var told []string
	for i := range many - 1 {
		d.forget("default/" + name(i))
		for _, n := range d.decide(waits).notes {
			told = append(told, n.message)
		}
	}
	var want []string
	for i := many - 3; i < many; i++ {
		var left []string
		for j := i; j < many; j++ {
			left = append(left, "default/"+name(j))
		}
		want = append(want, `Failed to allocate IP for "default/x": `+words+strings.Join(left, ",")+`: "10.0.0.7" is shared under another sharing key`)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
}

// TestUpgradeWritesOnce: a Service of the time before conditions gets one, without an event, and is left alone from then on.
func TestUpgradeWritesOnce(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10-192.0.2.20")
	_, stop := c.start()
	c.createService("one", annotated("metallb.universe.tf/address-pool", "web"))
	c.awaitIP("one", "192.0.2.10")
	events := []string{`Normal IPAllocated: Assigned IP ["192.0.2.10"]`,
		"Warning deprecatedAnnotation: Service uses deprecated annotation metallb.universe.tf/address-pool"}
	c.awaitEvents("one", events...)
	stop()
	c.putStatus("one", func(s *corev1.Service) { s.Status.Conditions = nil })

	_, stop = c.start()
	written := c.awaitCondition("one", "True Allocated: ", "192.0.2.10 of pool web").ResourceVersion
	stop()
	c.start()
	c.createService("two")
	c.awaitIP("two", "192.0.2.11")
	if now := c.service("one").ResourceVersion; now != written {
		t.Error("the Service was written again")
	}
	c.awaitEvents("one", events...)
}

func TestConditionIsBounded(t *testing.T) {
	long := strings.Repeat("ä", mostMessage)
	if got := clipped(long); len(got) > mostMessage || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
}

// awaitCondition waits until the Service's condition begins with that ("Status Reason: ") and its message has the text.
func (c *cluster) awaitCondition(name, begins, text string) *corev1.Service {
	c.Helper()
	var svc *corev1.Service
	var got string
	defer func() {
		if c.Failed() {
			c.Logf("condition of %s: %s", name, got)
		}
	}()
	c.await("condition "+begins+text+" of Service "+name, func() bool {
		svc = c.service(name)
		got = ""
		if cond := meta.FindStatusCondition(svc.Status.Conditions, Allocated); cond != nil {
			got = string(cond.Status) + " " + cond.Reason + ": " + cond.Message
		}
		return strings.HasPrefix(got, begins) && strings.Contains(got, text) && (got == "") == (begins == "")
	})
	return svc
}
