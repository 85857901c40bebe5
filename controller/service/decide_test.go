package service

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// change edits the Service that a test starts from.
type change func(*corev1.Service)

func newService(name string, changes ...change) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: map[string]string{}, Labels: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type:       corev1.ServiceTypeLoadBalancer,
			ClusterIPs: []string{"10.96.0.9"},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports:      []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}},
			Selector:   map[string]string{"app": name},
		},
	}
	for _, c := range changes {
		c(svc)
	}
	return svc
}

func annotated(key, value string) change {
	return func(s *corev1.Service) { s.Annotations[key] = value }
}

func showing(ips ...string) change {
	return func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = nil
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress,
				corev1.LoadBalancerIngress{IP: ip, IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
		}
	}
}

// held is a Service that shows what an earlier controller gave it.
func held(pool string, ips ...string) change {
	return func(s *corev1.Service) {
		showing(ips...)(s)
		s.Annotations[allocatedFrom] = pool
	}
}

func typed(t corev1.ServiceType) change { return func(s *corev1.Service) { s.Spec.Type = t } }

func class(name string) change {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
}

func families(policy corev1.IPFamilyPolicy, clusterIPs ...string) change {
	return func(s *corev1.Service) {
		s.Spec.IPFamilyPolicy, s.Spec.ClusterIPs = &policy, clusterIPs
		s.Spec.IPFamilies = nil
		for _, ip := range clusterIPs {
			family := corev1.IPv4Protocol
			if strings.Contains(ip, ":") {
				family = corev1.IPv6Protocol
			}
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, family)
		}
	}
}

func pool(name string, addresses ...string) *v1beta1.IPAddressPool {
	return &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-1", Generation: 1},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: addresses},
	}
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// deskWith is a desk with pools.
func deskWith(pools ...*v1beta1.IPAddressPool) *desk {
	d := newDesk("", silent())
	b := newPoolBook()
	b.replace(pools)
	all, _ := b.take()
	d.ips.SetPools(all)
	return d
}

// want is what a test looks at of an outcome.
type want struct {
	Addrs         []string
	Pool, Unknown string
	Events        []string
	Pending       bool
	Leave         bool
}

func seen(out outcome) want {
	w := want{Pool: out.pool, Unknown: out.unknownPool, Pending: out.pending, Leave: out.leave, Addrs: texts(out.addrs)}
	for _, n := range out.notes {
		w.Events = append(w.Events, n.kind+" "+n.reason+" "+n.message)
	}
	return w
}

func check(t *testing.T, w want, out outcome) {
	t.Helper()
	if diff := cmp.Diff(w, seen(out), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDecideOnceSeen is spec.md section 4.3 for a Service that is seen for the first time.
func TestDecideOnceSeen(t *testing.T) {
	a := pool("a", "10.0.0.0/24", "2001:db8::/64")
	only6 := pool("six", "2001:db8:6::/64")
	tests := []struct {
		name  string
		pools []*v1beta1.IPAddressPool
		svc   *corev1.Service
		want  want
	}{
		{"new", []*v1beta1.IPAddressPool{a}, newService("x"),
			want{Addrs: []string{"10.0.0.0"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.0"]`}}},
		{"dual", []*v1beta1.IPAddressPool{a}, newService("x", families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9", "fd96::9")),
			want{Addrs: []string{"10.0.0.0", "2001:db8::"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.0" "2001:db8::"]`}}},
		{"IPv6", []*v1beta1.IPAddressPool{a}, newService("x", families(corev1.IPFamilyPolicySingleStack, "fd96::9")),
			want{Addrs: []string{"2001:db8::"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["2001:db8::"]`}}},
		{"dual on a single-stack cluster", []*v1beta1.IPAddressPool{a}, newService("x", families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9")),
			want{Events: []string{`Warning not enough clusterips Service requires dual stack but not enough clusterips [10.96.0.9]`}}},
		{"no pools: silence", nil, newService("x"), want{Pending: true}},
		{"none of the family", []*v1beta1.IPAddressPool{only6}, newService("x"),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": no available IPs: pool six: it has no IPv4 addresses`}}},
		{"spec.loadBalancerIP", []*v1beta1.IPAddressPool{a}, newService("x", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "10.0.0.7" }),
			want{Addrs: []string{"10.0.0.7"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.7"]`}}},
		{"loadBalancerIPs, old prefix", []*v1beta1.IPAddressPool{a},
			newService("x", annotated("metallb.universe.tf/loadBalancerIPs", "2001:db8::7, 10.0.0.7"), families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")),
			want{Addrs: []string{"10.0.0.7", "2001:db8::7"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.7" "2001:db8::7"]`}}},
		{"one address for a dual-stack Service", []*v1beta1.IPAddressPool{a},
			newService("x", annotated("metallb.io/loadBalancerIPs", "10.0.0.7"), families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": requested loadBalancer IP(s) ["10.0.0.7"] does not match the ipFamily of the service`}}},
		{"address outside", []*v1beta1.IPAddressPool{a}, newService("x", annotated("metallb.io/loadBalancerIPs", "4.3.2.1")),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": ["4.3.2.1"] is not allowed in config`}}},
		{"address of another pool than asked for", []*v1beta1.IPAddressPool{a, only6},
			newService("x", annotated("metallb.io/loadBalancerIPs", "10.0.0.7"), annotated("metallb.io/address-pool", "six")),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": requested loadBalancer IP(s) ["10.0.0.7"] is not compatible with requested address pool six`}}},
		{"both ways to ask", []*v1beta1.IPAddressPool{a},
			newService("x", annotated("metallb.io/loadBalancerIPs", "10.0.0.7"), func(s *corev1.Service) { s.Spec.LoadBalancerIP = "10.0.0.7" }),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP`}}},
		{"nonsense", []*v1beta1.IPAddressPool{a}, newService("x", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "x" }),
			want{Pending: true, Events: []string{`Warning AllocationFailed Failed to allocate IP for "default/x": invalid spec.loadBalancerIP "x"`}}},
		{"explicit pool", []*v1beta1.IPAddressPool{a, pool("b", "10.1.0.0/24")}, newService("x", annotated("metallb.io/address-pool", "b")),
			want{Addrs: []string{"10.1.0.0"}, Pool: "b", Events: []string{`Normal IPAllocated Assigned IP ["10.1.0.0"]`}}},
		{"new prefix before old", []*v1beta1.IPAddressPool{a, pool("b", "10.1.0.0/24")},
			newService("x", annotated("metallb.io/address-pool", "b"), annotated("metallb.universe.tf/address-pool", "a")),
			want{Addrs: []string{"10.1.0.0"}, Pool: "b", Events: []string{`Normal IPAllocated Assigned IP ["10.1.0.0"]`}}},
		{"unknown pool", []*v1beta1.IPAddressPool{a}, newService("x", annotated("metallb.io/address-pool", "nope")),
			want{Addrs: []string{"10.0.0.0"}, Pool: "a", Unknown: "nope", Events: []string{
				`Warning UnknownPool address pool "nope" does not exist: any pool that assigns automatically will do`,
				`Normal IPAllocated Assigned IP ["10.0.0.0"]`}}},
		{"holder", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7")), want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{"holder whose pool was renamed", []*v1beta1.IPAddressPool{a}, newService("x", held("old", "10.0.0.7")), want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{"holder of no pool that is known", []*v1beta1.IPAddressPool{a}, newService("x", held("gone", "10.9.0.7")), want{Addrs: []string{"10.9.0.7"}, Pool: "gone"}},
		{"holder while there are no pools", nil, newService("x", held("a", "10.0.0.7")), want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{"holder that asked for a pool now gone", []*v1beta1.IPAddressPool{only6}, newService("x", held("a", "10.0.0.7"), annotated("metallb.io/address-pool", "a")),
			want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{"holder without our annotation while there are no pools", nil, newService("x", showing("10.0.0.7")), want{Addrs: []string{"10.0.0.7"}}},
		{"address of somebody else", []*v1beta1.IPAddressPool{a}, newService("x", showing("192.0.2.7")),
			want{Addrs: []string{"10.0.0.0"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.0"]`}}},
		{"holder that asks for another address since", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), annotated("metallb.io/loadBalancerIPs", "10.0.0.8")),
			want{Addrs: []string{"10.0.0.8"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.8"]`}}},
		{"holder that asks for another pool since", []*v1beta1.IPAddressPool{a, pool("b", "10.1.0.0/24")}, newService("x", held("a", "10.0.0.7"), annotated("metallb.io/address-pool", "b")),
			want{Addrs: []string{"10.1.0.0"}, Pool: "b", Events: []string{`Normal IPAllocated Assigned IP ["10.1.0.0"]`}}},
		{"holder whose pool was unknown when it got its address", []*v1beta1.IPAddressPool{a, pool("b", "10.1.0.0/24")},
			newService("x", held("a", "10.0.0.7"), annotated("metallb.io/address-pool", "b"), annotated(unknownPool, "b")),
			want{Addrs: []string{"10.0.0.7"}, Pool: "a", Unknown: "b"}},
		{"holder that asks for nonsense since", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), annotated("metallb.io/loadBalancerIPs", "x")),
			want{Addrs: []string{"10.0.0.7"}, Pool: "a", Events: []string{`Warning LoadBalancerFailed invalid requested loadbalancer IPs: invalid metallb.io/loadBalancerIPs: "x": invalid IP address "x"`}}},
		{"holder that changed its family", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), families(corev1.IPFamilyPolicySingleStack, "fd96::9")),
			want{Addrs: []string{"2001:db8::"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["2001:db8::"]`}}},
		{"holder that would like both families now", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")),
			want{Addrs: []string{"10.0.0.7", "2001:db8::"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned additional IP "2001:db8::"`}}},
		{"both families, of which the pool has one", []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, newService("x", held("a", "10.0.0.7"), families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")),
			want{Addrs: []string{"10.0.0.7"}, Pool: "a", Pending: true, Events: []string{`Normal AdditionalAssignFailed cannot assign additional IP in PreferDualStack: no available IPs in pool a: it has no IPv6 addresses`}}},
		{"no cluster IP", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), func(s *corev1.Service) { s.Spec.ClusterIPs = nil }), want{}},
		{"unusable cluster IPs", []*v1beta1.IPAddressPool{a}, newService("x", held("a", "10.0.0.7"), func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }),
			want{Leave: true, Events: []string{`Warning noclusterIPsIPFamily Failed to retrieve ClusterIPs IPFamily for ["None"]: invalid IP address "None"`}}},
		{"another class", []*v1beta1.IPAddressPool{a}, newService("x", class("other")), want{Leave: true}},
		{"another type", []*v1beta1.IPAddressPool{a}, newService("x", typed(corev1.ServiceTypeClusterIP)), want{Leave: true}},
		{"another type, still showing our address", []*v1beta1.IPAddressPool{a}, newService("x", typed(corev1.ServiceTypeClusterIP), held("a", "10.0.0.7")), want{}},
		{"another type, showing somebody else's address", []*v1beta1.IPAddressPool{a}, newService("x", typed(corev1.ServiceTypeClusterIP), showing("10.0.0.7")), want{Leave: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := deskWith(tt.pools...)
			check(t, tt.want, d.decide(tt.svc))

			// Again, nothing happens and nothing is said.
			quiet := tt.want
			quiet.Events = nil
			check(t, quiet, d.decide(tt.svc))
		})
	}
}

// TestDecideOnChange is spec.md section 4.6 for what the Service itself changes.
func TestDecideOnChange(t *testing.T) {
	pinned := pool("a", "10.0.0.0/24")
	pinned.Spec.AllocateTo = &v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"tier": "web"}}}}
	label := func(s *corev1.Service) { s.Labels["tier"] = "web" }
	shared := func(key string) change { return annotated("metallb.io/allow-shared-ip", key) }
	port := func(n int32) change { return func(s *corev1.Service) { s.Spec.Ports[0].Port = n } }
	at := annotated("metallb.io/loadBalancerIPs", "10.0.0.7")
	tests := []struct {
		name   string
		pools  []*v1beta1.IPAddressPool
		others []*corev1.Service
		before []change
		after  []change
		want   want
	}{
		{name: "annotations removed", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, before: []change{at},
			want: want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{name: "labels no longer match the pool", pools: []*v1beta1.IPAddressPool{pinned, pool("b", "10.1.0.0/24")}, before: []change{label},
			want: want{Addrs: []string{"10.1.0.0"}, Pool: "b", Events: []string{
				`Normal ClearAssignment current IP for "default/x" not allowed by config, will attempt for new IP assignment: pool a not compatible for ip assignment: it is for Services with other labels`,
				`Normal IPAllocated Assigned IP ["10.1.0.0"]`}}},
		{name: "sharing ends", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")},
			others: []*corev1.Service{newService("o", shared("k"), at, port(81))}, before: []change{shared("k"), at}, after: []change{shared("other")},
			want: want{Addrs: []string{"10.0.0.0"}, Pool: "a", Events: []string{
				`Normal ClearAssignment current IP for "default/x" not allowed by config, will attempt for new IP assignment: can't change sharing key for "default/x", address also in use by default/o: "10.0.0.7" is shared under another sharing key`,
				`Normal IPAllocated Assigned IP ["10.0.0.0"]`}}},
		{name: "a port clashes", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")},
			others: []*corev1.Service{newService("o", shared("k"), at, port(81))}, before: []change{shared("k"), at}, after: []change{shared("k"), at, port(81)},
			want: want{Pending: true, Events: []string{
				`Normal ClearAssignment current IP for "default/x" not allowed by config, will attempt for new IP assignment: port TCP/81 is already in use on "10.0.0.7" by Service default/o`,
				`Warning AllocationFailed Failed to allocate IP for "default/x": port TCP/81 is already in use on "10.0.0.7" by Service default/o`}}},
		{name: "sole user changes its sharing key", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, before: []change{shared("k"), at}, after: []change{shared("l"), at},
			want: want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{name: "type", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, after: []change{typed(corev1.ServiceTypeClusterIP)},
			want: want{Events: []string{`Normal IPReleased Released IP ["10.0.0.0"]: the Service is no load balancer of this kind any longer`}}},
		{name: "status emptied by somebody", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, before: []change{at}, after: []change{showing()},
			want: want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
		{name: "status overwritten by somebody", pools: []*v1beta1.IPAddressPool{pool("a", "10.0.0.0/24")}, before: []change{at}, after: []change{showing("10.0.0.9")},
			want: want{Addrs: []string{"10.0.0.7"}, Pool: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := deskWith(tt.pools...)
			for _, o := range tt.others {
				d.decide(o)
			}
			if out := d.decide(newService("x", tt.before...)); len(out.addrs) == 0 {
				t.Fatalf("nothing to start from: %+v", out)
			}
			check(t, tt.want, d.decide(newService("x", tt.after...)))
		})
	}
}

// TestClassGoesWithType is defect 6 of spec.md section 15: a Service of our class that becomes a ClusterIP loses its
// class at the same moment, and is still ours to clean up.
func TestClassGoesWithType(t *testing.T) {
	d := deskWith(pool("a", "10.0.0.0/24"))
	d.class = "ours"
	ours := func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("ours") }
	check(t, want{Leave: true}, d.decide(newService("unclassed")))
	if out := d.decide(newService("x", ours)); len(out.addrs) != 1 {
		t.Fatalf("no address: %+v", out)
	}

	out := d.decide(newService("x", typed(corev1.ServiceTypeClusterIP), held("a", "10.0.0.0")))

	check(t, want{Events: []string{`Normal IPReleased Released IP ["10.0.0.0"]: the Service is no load balancer of this kind any longer`}}, out)
	if !out.roomMade {
		t.Error("the address was not freed")
	}
}

// TestReserveBeforeServing: whoever shows an address has it before anybody new is served, and of two the first.
func TestReserveBeforeServing(t *testing.T) {
	d := deskWith(pool("a", "10.0.0.0/30"))
	holders := []*corev1.Service{newService("one", held("a", "10.0.0.0")), newService("two", held("a", "10.0.0.0")), newService("three", held("a", "10.0.0.1"))}
	for _, svc := range holders {
		d.reserve(svc)
	}

	check(t, want{Addrs: []string{"10.0.0.2"}, Pool: "a", Events: []string{`Normal IPAllocated Assigned IP ["10.0.0.2"]`}}, d.decide(newService("new")))
	check(t, want{Addrs: []string{"10.0.0.0"}, Pool: "a"}, d.decide(holders[0]))
	check(t, want{Addrs: []string{"10.0.0.3"}, Pool: "a", Events: []string{
		`Normal ClearAssignment current IP for "default/two" not allowed by config, will attempt for new IP assignment: can't change sharing key for "default/two", address also in use by default/one: "10.0.0.0" is shared only by Services that all have the same sharing key`,
		`Normal IPAllocated Assigned IP ["10.0.0.3"]`}}, d.decide(holders[1]))
	check(t, want{Addrs: []string{"10.0.0.1"}, Pool: "a"}, d.decide(holders[2]))
}

// TestWriteOnlyDifferences: what the server adds to an entry is no difference, what the condition says is one, and so is what others put in.
func TestWriteOnlyDifferences(t *testing.T) {
	out := outcome{addrs: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, pool: "a"}
	settled := newService("x", held("a", "10.0.0.7"))
	if _, changed, _ := withOutcome(settled, out); changed {
		t.Error("an ipMode makes a difference")
	}
	if _, _, moved := withOutcome(newService("x", held("b", "10.0.0.7")), out); !moved {
		t.Error("the pool's name makes none")
	}
	host := newService("x", held("a", "10.0.0.7"), func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{Hostname: "of.somebody.else"})
	})
	if next, _, moved := withOutcome(host, out); !moved || len(next.Status.LoadBalancer.Ingress) != 1 {
		t.Error("a host name makes none")
	}

	out.state = &state{allocated: true, reason: reasonAllocated, message: "10.0.0.7 of pool a"}
	next, changed, moved := withOutcome(settled, out)
	if !changed || moved {
		t.Errorf("a condition to write: changed %v, moved %v", changed, moved)
	}
	if _, changed, _ = withOutcome(next, out); changed {
		t.Error("a condition that is written is written again")
	}

	next, _, moved = withOutcome(next, outcome{})
	if _, left := next.Annotations[allocatedFrom]; !moved || left || len(next.Status.LoadBalancer.Ingress)+len(next.Status.Conditions) != 0 {
		t.Errorf("cleared: %+v", next)
	}
}
