package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func newPool(name string, addresses ...string) *metallb.IPAddressPool {
	return &metallb.IPAddressPool{ObjectMeta: named(name), Spec: metallb.IPAddressPoolSpec{Addresses: addresses}}
}

func allocatedTo(to metallb.ServiceAllocation) *metallb.IPAddressPool {
	p := newPool("p", "10.0.0.0/24")
	p.Spec.AllocateTo = &to
	return p
}

func TestPool(t *testing.T) {
	run(t, nil, []verdict{
		{name: "CIDR", obj: newPool("p", "10.0.0.0/24")},
		{name: "both families and a range", obj: newPool("p", "10.0.0.0/24", "2001:db8::/64", "10.0.1.1 - 10.0.1.9")},
		{name: "P1 no addresses", obj: newPool("p"),
			want: []problem{{"spec.addresses", "pool has no prefixes defined"}}},
		{name: "P2 not a CIDR", obj: newPool("p", "10.0.0.0/24", "10.1.0.0/33"),
			want: []problem{{"spec.addresses[1]", `Invalid value: "10.1.0.0/33": invalid CIDR "10.1.0.0/33"`}}},
		{name: "P2 bare address", obj: newPool("p", "10.0.0.1"),
			want: []problem{{"spec.addresses[0]", `invalid CIDR "10.0.0.1"`}}},
		{name: "P3 start", obj: newPool("p", "x-10.0.0.1"),
			want: []problem{{"spec.addresses[0]", `invalid start IP "x"`}}},
		{name: "P3 end", obj: newPool("p", "10.0.0.1-y"),
			want: []problem{{"spec.addresses[0]", `invalid end IP "y"`}}},
		{name: "P4 order", obj: newPool("p", "10.0.0.9-10.0.0.1"),
			want: []problem{{"spec.addresses[0]", `start IP "10.0.0.9" is after the end IP "10.0.0.1"`}}},
		{name: "mixed families in a range", obj: newPool("p", "10.0.0.1-2001::1"),
			want: []problem{{"spec.addresses[0]", "different families"}}},
		{name: "P5 overlap with itself", obj: newPool("p", "10.0.0.0/24", "10.0.1.0/24", "10.0.1.5-10.0.1.7"),
			want: []problem{{"spec.addresses[2]", "overlaps 10.0.1.0/24 of this pool (10.0.1.5-10.0.1.7 overlaps with already defined CIDR 10.0.1.0/24)"}}},
		{name: "every item is reported", obj: newPool("p", "a", "b"),
			want: []problem{{"spec.addresses[0]", `"a"`}, {"spec.addresses[1]", `"b"`}}},

		{name: "pinned to all", obj: allocatedTo(metallb.ServiceAllocation{})},
		{name: "pinned", obj: allocatedTo(metallb.ServiceAllocation{
			Priority: -5, Namespaces: []string{"a", "b"},
			NamespaceSelectors: []metav1.LabelSelector{labels("a", "b"), labels("a", "c")},
			ServiceSelectors:   []metav1.LabelSelector{expression("x", metav1.LabelSelectorOpExists)}})},
		{name: "P6 namespace twice", obj: allocatedTo(metallb.ServiceAllocation{Namespaces: []string{"a", "b", "a"}}),
			want: []problem{{"spec.serviceAllocation.namespaces[2]", `duplicate definition in namespaces field "a"`}}},
		{name: "P7 selector twice", obj: allocatedTo(metallb.ServiceAllocation{
			NamespaceSelectors: []metav1.LabelSelector{labels("a", "b"), expression("a", metav1.LabelSelectorOpIn, "b"), labels("a", "b")},
			ServiceSelectors:   []metav1.LabelSelector{{}, {}}}),
			want: []problem{
				{"spec.serviceAllocation.namespaceSelectors[2]", "duplicate definition of namespaceSelectors"},
				{"spec.serviceAllocation.serviceSelectors[1]", "duplicate definition of serviceSelectors"}}},
		{name: "P7 selector not valid", obj: allocatedTo(metallb.ServiceAllocation{
			NamespaceSelectors: []metav1.LabelSelector{expression("a", "Near", "b")},
			ServiceSelectors:   []metav1.LabelSelector{labels("not a key", "b")}}),
			want: []problem{
				{"spec.serviceAllocation.namespaceSelectors[0].matchExpressions[0].operator", `"Near": not a valid selector operator`},
				{"spec.serviceAllocation.serviceSelectors[0].matchLabels", `"not a key"`}}},
	})
}

func TestPoolsDoNotOverlap(t *testing.T) {
	web := newPool("web", "10.0.0.128-10.0.0.140", "2001:db8::/64")
	run(t, &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{newPool("db", "10.9.0.0/24"), web}}, []verdict{
		{name: "beside", obj: newPool("new", "10.0.0.0/25", "10.0.0.141-10.0.0.255")},
		{name: "over", obj: newPool("new", "10.1.0.0/24", "10.0.0.0/24"),
			want: []problem{{"spec.addresses[1]", `spec.addresses[1]: Invalid value: "10.0.0.0/24": overlaps 10.0.0.128-10.0.0.140 of IPAddressPool "web" ` +
				`(10.0.0.128-10.0.0.140 overlaps with already defined CIDR 10.0.0.128-10.0.0.140)`}}},
		{name: "edge", obj: newPool("new", "10.0.0.140-10.0.0.150"),
			want: []problem{{"spec.addresses[0]", `(10.0.0.140/32 overlaps with already defined CIDR`}}},
		{name: "IPv6", obj: newPool("new", "2001:db8::5/128"),
			want: []problem{{"spec.addresses[0]", `overlaps 2001:db8::/64 of IPAddressPool "web"`}}},
		{name: "IPv4 in disguise", obj: newPool("new", "::ffff:10.9.0.0/120"),
			want: []problem{{"spec.addresses[0]", `of IPAddressPool "db"`}}},
		{name: "half of IPv6", obj: newPool("new", "2000::/3", "fd00::/8"),
			want: []problem{{"spec.addresses[0]", `of IPAddressPool "web"`}}},
		{name: "update of itself", old: web, obj: newPool("web", "10.0.0.128-10.0.0.150")},
		{name: "update into another", old: web, obj: newPool("web", "10.9.0.7/32"),
			want: []problem{{"spec.addresses[0]", `overlaps 10.9.0.0/24 of IPAddressPool "db"`}}},
	})
}

// TestOverlapAgreesWithBruteForce applies random changes; those that Check accepts are kept. A second book, of
// single addresses, says what it must have answered.
func TestOverlapAgreesWithBruteForce(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		pools := map[string]*metallb.IPAddressPool{}
		for step := range 60 {
			pool := randomPool(rng, fmt.Sprintf("p%d", rng.IntN(8)))
			c := &metallb.Configuration{}
			taken := map[netip.Addr]bool{}
			for name, p := range pools {
				c.IPAddressPools = append(c.IPAddressPools, p)
				if name != pool.Name {
					for _, a := range addressesOf(t, p) {
						taken[a] = true
					}
				}
			}
			clash := false
			for _, a := range addressesOf(t, pool) {
				clash = clash || taken[a]
				taken[a] = true
			}
			before := c.IPAddressPools

			errs, _ := Check(c, Change{Resource: "ipaddresspools", New: pool})

			if (len(errs) > 0) != clash {
				t.Fatalf("seed %d step %d: %v beside %v: got %v, want an overlap: %v", seed, step, pool.Spec.Addresses, pools, errs, clash)
			}
			if diff := cmp.Diff(before, c.IPAddressPools); diff != "" {
				t.Fatalf("Check changed the configuration (-want +got):\n%s", diff)
			}
			if !clash {
				pools[pool.Name] = pool
			}
		}
	}
}

// randomPool has one to three items within 256 addresses of either family.
func randomPool(rng *rand.Rand, name string) *metallb.IPAddressPool {
	var items []string
	for range 1 + rng.IntN(3) {
		base, bits := "10.0.0.%d", 32
		if rng.IntN(3) == 0 {
			base, bits = "2001:db8::%x", 128
		}
		from := rng.IntN(256)
		if rng.IntN(2) == 0 {
			items = append(items, fmt.Sprintf(base+"/%d", from, bits-rng.IntN(5)))
			continue
		}
		to := min(255, from+rng.IntN(12))
		items = append(items, fmt.Sprintf(base+"-"+base, from, to))
	}
	return newPool(name, items...)
}

// addressesOf lists the addresses of a pool by other means than the rules use.
func addressesOf(t *testing.T, p *metallb.IPAddressPool) []netip.Addr {
	t.Helper()
	var all []netip.Addr
	for _, item := range p.Spec.Addresses {
		if prefix, err := netip.ParsePrefix(item); err == nil {
			for a := prefix.Masked().Addr(); prefix.Contains(a); a = a.Next() {
				all = append(all, a)
			}
			continue
		}
		var from, to netip.Addr
		for i := range item {
			if item[i] == '-' {
				from, to = netip.MustParseAddr(item[:i]), netip.MustParseAddr(item[i+1:])
			}
		}
		for a := from; !to.Less(a); a = a.Next() {
			all = append(all, a)
		}
	}
	return all
}
