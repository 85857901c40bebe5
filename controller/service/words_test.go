package service

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// TestCausesBeginWithMetalLBsWords: scripts look for them (spec.md section 9.1), letter by letter. What follows is ours.
func TestCausesBeginWithMetalLBsWords(t *testing.T) {
	one := pool("one", "192.0.2.1/32")
	pinned := pool("pinned", "192.0.2.8/32")
	pinned.Spec.AllocateTo = &v1beta1.ServiceAllocation{Namespaces: []string{"others"}}
	at := func(list string) change { return annotated("metallb.io/loadBalancerIPs", list) }
	from := func(name string) change { return annotated("metallb.universe.tf/address-pool", name) }
	asking := func(ip string) change { return func(s *corev1.Service) { s.Spec.LoadBalancerIP = ip } }
	shared := annotated("metallb.io/allow-shared-ip", "k")
	dual := families(corev1.IPFamilyPolicyRequireDualStack, "10.96.0.9", "fd96::9")
	for name, test := range map[string]struct {
		changes []change
		holder  []change // of 192.0.2.1
		pending bool     // --unknown-pool=pending
		cause   string
	}{
		"none free":             {holder: []change{}, cause: `no available IPs`},
		"none free in a pool":   {holder: []change{}, changes: []change{from("one")}, cause: `no available IPs in pool one`},
		"no family in a pool":   {changes: []change{from("one"), dual}, cause: `no available IPs in pool one`},
		"unknown pool":          {changes: []change{from("nope")}, pending: true, cause: `unknown pool "nope"`},
		"not admitted":          {changes: []change{from("pinned")}, cause: `pool pinned not compatible for ip assignment`},
		"not admitted by IP":    {changes: []change{at("192.0.2.8")}, cause: `pool pinned not compatible for ip assignment`},
		"outside":               {changes: []change{at("1.2.3.4")}, cause: `["1.2.3.4"] is not allowed in config`},
		"of two pools":          {changes: []change{at("192.0.2.1,2001:db8::1"), dual}, cause: `["192.0.2.1" "2001:db8::1"] is not allowed in config`},
		"of another pool":       {changes: []change{at("192.0.2.1"), from("pinned")}, cause: `requested loadBalancer IP(s) ["192.0.2.1"] is not compatible with requested address pool pinned`},
		"of another family":     {changes: []change{at("2001:db8::1")}, cause: `requested loadBalancer IP(s) ["2001:db8::1"] does not match the ipFamily of the service`},
		"both ways":             {changes: []change{at("192.0.2.1"), asking("192.0.2.1")}, cause: `service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP`},
		"no address":            {changes: []change{at("192.0.2.1, x")}, cause: `invalid metallb.io/loadBalancerIPs: "192.0.2.1, x"`},
		"no address in spec":    {changes: []change{asking("x")}, cause: `invalid spec.loadBalancerIP "x"`},
		"two of a family":       {changes: []change{at("192.0.2.1,192.0.2.2")}, cause: `IPFamilyForAddresses: same address family ["192.0.2.1" "192.0.2.2"]`},
		"three":                 {changes: []change{at("192.0.2.1,192.0.2.2,2001:db8::1")}, cause: `IPFamilyForAddresses: invalid ips length 3 ["192.0.2.1" "192.0.2.2" "2001:db8::1"]`},
		"in use":                {holder: []change{}, changes: []change{at("192.0.2.1")}, cause: `can't change sharing key for "default/x", address also in use by default/holder`},
		"in use, another key":   {holder: []change{shared}, changes: []change{at("192.0.2.1"), annotated("metallb.io/allow-shared-ip", "q")}, cause: `can't change sharing key for "default/x", address also in use by default/holder`},
		"port of a shared one":  {holder: []change{shared}, changes: []change{at("192.0.2.1"), shared}, cause: `port TCP/80 is already in use on "192.0.2.1"`},
		"present but empty key": {changes: []change{annotated("metallb.io/loadBalancerIPs", ""), annotated("metallb.universe.tf/loadBalancerIPs", "1.2.3.4"), from("pinned")}, cause: `pool pinned not compatible`},
	} {
		t.Run(name, func(t *testing.T) {
			d := deskWith(one, pinned)
			if test.pending {
				d.unknownPools = UnknownPoolPending
			}
			if test.holder != nil {
				if out := d.decide(newService("holder", test.holder...)); len(out.addrs) != 1 {
					t.Fatalf("the holder got %v", out.addrs)
				}
			}
			out := d.decide(newService("x", test.changes...))
			want := `Failed to allocate IP for "default/x": ` + test.cause
			for _, n := range out.notes {
				rest, ok := strings.CutPrefix(n.message, want)
				if n.reason == allocationFailed && ok && (rest == "" || strings.ContainsAny(rest[:1], ":; ")) && n.kind == corev1.EventTypeWarning {
					return
				}
			}
			t.Errorf("%q, want AllocationFailed: %s", out.notes, want)
		})
	}
}

// TestAnAddressGivenUpIsTold: where no other event does.
func TestAnAddressGivenUpIsTold(t *testing.T) {
	const got = `Normal IPAllocated Assigned IP ["192.0.2.1"]`
	for name, test := range map[string]struct {
		becomes []change
		want    []string
	}{
		"another type":       {[]change{typed(corev1.ServiceTypeNodePort)}, []string{`Normal IPReleased Released IP ["192.0.2.1"]: the Service is no load balancer of this kind any longer`}},
		"no cluster IP":      {[]change{func(s *corev1.Service) { s.Spec.ClusterIPs = nil }}, []string{`Normal IPReleased Released IP ["192.0.2.1"]: the Service has no cluster IP`}},
		"asks for another":   {[]change{annotated("metallb.io/loadBalancerIPs", "192.0.2.2")}, []string{`Normal IPAllocated Assigned IP ["192.0.2.2"]`}},
		"nothing":            {nil, nil},
		"another port":       {[]change{func(s *corev1.Service) { s.Spec.Ports[0].Port = 81 }}, nil},
		"asks for one of no": {[]change{annotated("metallb.io/loadBalancerIPs", "10.0.0.1")}, []string{`Warning AllocationFailed Failed to allocate IP for "default/x": ["10.0.0.1"] is not allowed in config`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := deskWith(pool("a", "192.0.2.1-192.0.2.2"))
			check(t, want{Addrs: []string{"192.0.2.1"}, Pool: "a", Events: []string{got}}, d.decide(newService("x")))
			if events := seen(d.decide(newService("x", test.becomes...))).Events; strings.Join(events, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("events %q, want %q", events, test.want)
			}
		})
	}
}
