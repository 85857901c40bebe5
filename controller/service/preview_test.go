package service

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// newPreview is one that has heard of everything: pool web of two addresses, of which one is in use, reserved for
// namespace other, or free; manual, from which nothing is given automatically; team, for another namespace; narrow, for
// one address a namespace, which default has.
func newPreview(t *testing.T) *Preview {
	t.Helper()
	p := NewPreview(Options{Namespace: system, Log: silent()})
	p.book.put(pool("web", "192.0.2.10-192.0.2.12"), true)
	manual := pool("manual", "192.0.2.20/32")
	manual.Spec.AutoAssign = new(false)
	p.book.put(manual, true)
	team := pool("team", "192.0.2.30/32", "2001:db8::30/128")
	team.Spec.AllocateTo = &v1beta1.ServiceAllocation{Namespaces: []string{"team"}}
	p.book.put(team, true)
	narrow := pool("narrow", "192.0.2.40-192.0.2.49")
	narrow.Spec.AutoAssign = new(false)
	narrow.Spec.Quota = &v1beta1.Quota{PerNamespace: new(int64(1))}
	p.book.put(narrow, true)
	p.reservations.put(&v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: "dns"},
		Spec: v1beta1.IPReservationSpec{Addresses: []string{"192.0.2.12"}, Namespace: "other", Reason: "their name server"}})
	p.bookNamespaces([]*corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "strict", Labels: map[string]string{EnforceLabel: "true"}}},
	})
	shared := annotated("metallb.io/allow-shared-ip", "key")
	p.replaceServices([]*corev1.Service{
		newService("one", held("web", "192.0.2.10"), shared),
		newService("full", held("manual", "192.0.2.20")),
		newService("limited", held("narrow", "192.0.2.40")),
		newService("internal", typed(corev1.ServiceTypeClusterIP)),
	})
	p.begin()
	return p
}

func told(found []Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.String())
	}
	return all
}

// TestFindings has every kind of finding.
func TestFindings(t *testing.T) {
	shared := annotated("metallb.io/allow-shared-ip", "key")
	wants := func(ips string) change { return annotated("metallb.io/loadBalancerIPs", ips) }
	from := func(pool string) change { return annotated("metallb.io/address-pool", pool) }
	const ips, asked = `metadata.annotations[metallb.io/loadBalancerIPs]`, `metadata.annotations[metallb.io/address-pool]`
	for name, test := range map[string]struct {
		svc  *corev1.Service
		want []string
	}{
		"fine":        {newService("x"), nil},
		"fine, asked": {newService("x", wants("192.0.2.11"), from("web")), nil},
		"its own":     {newService("one", wants("192.0.2.10"), shared), nil},
		"not ours":    {newService("x", wants("4.3.2.1"), func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("other") }), nil},
		"no balancer": {newService("x", wants("4.3.2.1"), typed(corev1.ServiceTypeClusterIP)), nil},
		"outside":     {newService("x", wants("4.3.2.1")), []string{ips + `: "4.3.2.1": ["4.3.2.1"] is not allowed in config: no address pool gives it away`}},
		"outside, by field": {newService("x", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "4.3.2.1" }),
			[]string{`spec.loadBalancerIP: "4.3.2.1": ["4.3.2.1"] is not allowed in config: no address pool gives it away`}},
		"outside, old prefix": {newService("x", annotated("metallb.universe.tf/loadBalancerIPs", "4.3.2.1")),
			[]string{`metadata.annotations[metallb.universe.tf/loadBalancerIPs]: "4.3.2.1": ["4.3.2.1"] is not allowed in config: no address pool gives it away`}},
		"unknown pool": {newService("x", from("nowhere")),
			[]string{asked + `: "nowhere": address pool "nowhere" does not exist: any pool that assigns automatically will do`}},
		"pool of others": {newService("x", from("team")),
			[]string{asked + `: "team": pool team not compatible for ip assignment: it is for other namespaces`}},
		"address of a pool of others": {newService("x", wants("192.0.2.30")),
			[]string{ips + `: "192.0.2.30": pool team not compatible for ip assignment: it is for other namespaces`}},
		"both prefixes": {newService("x", from("web"), annotated("metallb.universe.tf/address-pool", "manual")),
			[]string{`metadata.annotations[metallb.universe.tf/address-pool]: "manual": metallb.io/address-pool and metallb.universe.tf/address-pool contradict each other: "web" and "manual"; the former decides`}},
		"both prefixes, one meaning": {newService("x", wants("192.0.2.11"), annotated("metallb.universe.tf/loadBalancerIPs", " 192.0.2.11")), nil},
		"annotation and field": {newService("x", wants("192.0.2.11"), func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.11" }),
			[]string{ips + `: "192.0.2.11": service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP`}},
		"address and pool": {newService("x", wants("192.0.2.11"), from("manual")),
			[]string{ips + `: "192.0.2.11": requested loadBalancer IP(s) ["192.0.2.11"] is not compatible with requested address pool manual`}},
		"no address": {newService("x", wants("192.0.2.300")),
			[]string{ips + `: "192.0.2.300": invalid metallb.io/loadBalancerIPs: "192.0.2.300": invalid IP address "192.0.2.300"`}},
		"other family": {newService("x", wants("2001:db8::30")),
			[]string{ips + `: "2001:db8::30": requested loadBalancer IP(s) ["2001:db8::30"] does not match the ipFamily of the service`}},
		"in use": {newService("x", wants("192.0.2.10")),
			[]string{ips + `: "192.0.2.10": can't change sharing key for "default/x", address also in use by default/one: "192.0.2.10" is shared only by Services that all have the same sharing key`}},
		"other key": {newService("x", wants("192.0.2.10"), annotated("metallb.io/allow-shared-ip", "lock")),
			[]string{`metadata.annotations[metallb.io/allow-shared-ip]: "lock": can't change sharing key for "default/x", address also in use by default/one: "192.0.2.10" is shared under another sharing key`}},
		"same port": {newService("x", wants("192.0.2.10"), shared),
			[]string{`spec.ports: "TCP/80": port TCP/80 is already in use on "192.0.2.10" by Service default/one`}},
		"other backend": {newService("x", wants("192.0.2.10"), shared, func(s *corev1.Service) {
			s.Spec.Ports[0].Port, s.Spec.ExternalTrafficPolicy = 81, corev1.ServiceExternalTrafficPolicyLocal
		}), []string{`metadata.annotations[metallb.io/allow-shared-ip]: "key": can't change sharing key for "default/x", address also in use by default/one: "192.0.2.10" is shared only by Services with the same externalTrafficPolicy and, where that is Local, the same selector`}},
		"no pool of the family": {newService("x", families(corev1.IPFamilyPolicySingleStack, "fd96::9")),
			[]string{`spec.ipFamilies: "IPv6": no available IPs: pool web: it has no IPv6 addresses`}},
		"either family": {newService("x", families(corev1.IPFamilyPolicyPreferDualStack, "10.96.0.9", "fd96::9")), nil},
		"two families, one cluster IP": {newService("x", families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9")),
			[]string{`spec.type: "LoadBalancer": Service requires dual stack but not enough clusterips [10.96.0.9]`}},
		"quota": {newService("x", from("narrow")),
			[]string{`metadata.namespace: "default": no available IPs in pool narrow: quota of pool narrow: namespace default holds 1 of at most 1 addresses, those of default/limited`}},
		"quota, by address": {newService("x", wants("192.0.2.41")),
			[]string{`metadata.namespace: "default": quota of pool narrow: namespace default holds 1 of at most 1 addresses, those of default/limited`}},
		"reserved": {newService("x", wants("192.0.2.12")),
			[]string{ips + `: "192.0.2.12": "192.0.2.12" is reserved for namespace other by IPReservation "dns": their name server`}},
		"full": {newService("x", from("manual")),
			[]string{asked + `: "manual": no available IPs in pool manual: of its 1 IPv4 addresses 1 in use, most by namespaces default (1)`}},
		"two at once": {newService("x", from("team"), annotated("metallb.universe.tf/address-pool", "web")),
			[]string{`metadata.annotations[metallb.universe.tf/address-pool]: "web": metallb.io/address-pool and metallb.universe.tf/address-pool contradict each other: "team" and "web"; the former decides`,
				asked + `: "team": pool team not compatible for ip assignment: it is for other namespaces`}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPreview(t)
			for range 2 { // asking changes nothing
				found, enforce, err := p.look(nil, test.svc)
				if !p.ours(test.svc) {
					found, enforce, err = p.Review(t.Context(), nil, test.svc)
				}
				if err != nil || enforce {
					t.Fatalf("enforce %v, %v", enforce, err)
				}
				if diff := cmp.Diff(test.want, told(found)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				for _, f := range found {
					if !f.New || f.Advice || f.Reason == "" {
						t.Errorf("%+v", f)
					}
				}
			}
			if diff := cmp.Diff([]string{"192.0.2.10"}, texts(p.heldBy("one"))); diff != "" {
				t.Errorf("what others hold (-want +got):\n%s", diff)
			}
		})
	}
}

func (p *Preview) heldBy(name string) (addrs []netip.Addr) {
	held, _ := p.desk.ips.Holding("default/" + name)
	return held.Addrs
}

// TestOnlyWhatIsNewIsNew: what was wrong with the object before is no reason to refuse a change of it.
func TestOnlyWhatIsNewIsNew(t *testing.T) {
	p := newPreview(t)
	outside := annotated("metallb.io/loadBalancerIPs", "4.3.2.1")
	labelled := func(s *corev1.Service) { s.Labels["a"] = "b" }
	shared := annotated("metallb.io/allow-shared-ip", "key")
	on := func(port int32) change { return func(s *corev1.Service) { s.Spec.Ports[0].Port = port } }
	p.putService(newService("two", held("web", "192.0.2.10"), shared, on(81)))
	for name, test := range map[string]struct {
		old, svc *corev1.Service
		want     []bool
	}{
		"nothing wrong":        {newService("x"), newService("x", labelled), nil},
		"wrong now":            {newService("x"), newService("x", outside), []bool{true}},
		"relabelled":           {newService("x", outside), newService("x", outside, labelled), []bool{false}},
		"finalizer":            {newService("x", outside), newService("x", outside, func(s *corev1.Service) { s.Finalizers = []string{"f"} }), []bool{false}},
		"one more":             {newService("x", outside), newService("x", outside, annotated("metallb.io/address-pool", "nowhere")), []bool{true, false}},
		"no key any longer":    {newService("two", shared, on(81)), newService("two", on(81)), []bool{true}},
		"its neighbour's port": {newService("two", shared, on(81)), newService("two", shared, on(80)), []bool{true}},
		"another port":         {newService("two", shared, on(81)), newService("two", shared, on(82)), nil},
		"a balancer now":       {newService("x", outside, typed(corev1.ServiceTypeClusterIP)), newService("x", outside), []bool{true}},
		"a pool that is full":  {newService("one", shared), newService("one", shared, annotated("metallb.io/address-pool", "manual")), []bool{true}},
	} {
		t.Run(name, func(t *testing.T) {
			found, _, err := p.look(test.old, test.svc)
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, f := range found {
				got = append(got, f.New)
			}
			slices.SortFunc(got, func(a, b bool) int {
				return strings.Compare(map[bool]string{true: "a", false: "b"}[a], map[bool]string{true: "a", false: "b"}[b])
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("new (-want +got):\n%s\n%v", diff, told(found))
			}
		})
	}
}

// TestPreviewFollows: what Services show, and what is configured, as it changes.
func TestPreviewFollows(t *testing.T) {
	p := newPreview(t)
	asks := newService("x", annotated("metallb.io/address-pool", "manual"))
	expect := func(what string, want int) {
		t.Helper()
		found, _, err := p.look(nil, asks)
		if err != nil || len(found) != want {
			t.Errorf("%s: %v, %v; want %d", what, told(found), err, want)
		}
	}
	expect("in use", 1)
	p.removeService(newService("full"))
	expect("deleted", 0)
	p.putService(newService("full", held("manual", "192.0.2.20")))
	expect("there again", 1)
	p.putService(newService("full"))
	expect("shows nothing", 0)
	p.putService(newService("full", held("manual", "192.0.2.20")))
	p.putService(newService("full", held("manual", "192.0.2.20"), typed(corev1.ServiceTypeClusterIP)))
	expect("no balancer any longer", 0)
	p.replaceServices(nil)
	if held := p.heldBy("one"); len(held) > 0 {
		t.Errorf("after a list without Services %v is held", held)
	}
	p.book.remove("manual", true)
	expect("pool deleted", 1)

	strict := newService("x", annotated("metallb.io/loadBalancerIPs", "4.3.2.1"))
	strict.Namespace = "strict"
	if _, enforce, err := p.look(nil, strict); !enforce || err != nil {
		t.Errorf("in a namespace with the label: %v, %v", enforce, err)
	}
}

// TestWithoutPoolsThereIsOnlyAdvice: the pools may come later.
func TestWithoutPoolsThereIsOnlyAdvice(t *testing.T) {
	p := NewPreview(Options{Namespace: system, Log: silent()})
	if _, _, err := p.look(nil, newService("x")); err != ErrStale {
		t.Errorf("before anything was read: %v", err)
	}
	if p.Ready() == nil {
		t.Error("ready before anything was read")
	}
	p.begin()
	for _, svc := range []*corev1.Service{newService("x"), newService("x", annotated("metallb.io/loadBalancerIPs", "4.3.2.1")),
		newService("x", annotated("metallb.io/address-pool", "web"))} {
		found, _, err := p.look(nil, svc)
		if err != nil || len(found) != 1 || !found[0].Advice {
			t.Errorf("%v: %+v, %v", svc.Annotations, found, err)
		}
	}
}

// BenchmarkPreview is one look at a Service among 10,000, at one with nothing wrong and one that no pool has room for.
func BenchmarkPreview(b *testing.B) {
	const n = 10_000
	p := NewPreview(Options{Namespace: system, Log: silent()})
	p.book.put(pool("web", "10.0.0.0/16"), true)
	full := pool("full", "10.1.0.0/32")
	full.Spec.AutoAssign = new(false)
	p.book.put(full, true)
	all := []*corev1.Service{newService("full", held("full", "10.1.0.0"))}
	for i := range n {
		all = append(all, newService(fmt.Sprint("s", i), held("web", fmt.Sprintf("10.0.%d.%d", i/256, i%256))))
	}
	p.replaceServices(all)
	p.begin()
	for name, test := range map[string]struct {
		svc  *corev1.Service
		want int
	}{"fine": {newService("x"), 0}, "wrong": {newService("x", annotated("metallb.io/address-pool", "full")), 1}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if found, _, err := p.look(nil, test.svc); err != nil || len(found) != test.want {
					b.Fatal(told(found), err)
				}
			}
		})
	}
}
