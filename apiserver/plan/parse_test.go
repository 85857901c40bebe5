package plan

import (
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// FuzzPoolIndex compares the index with asking every range.
func FuzzPoolIndex(f *testing.F) {
	f.Add("10.0.0.0/24", "10.0.0.5-10.0.1.9", "2001:db8::/64", "10.0.0.200")
	f.Add("0.0.0.0/0", "10.0.0.0/8", "::/0", "::ffff:10.0.0.1")
	f.Add("10.0.0.0/8", "10.0.0.1/32", "10.0.0.3/32", "10.0.0.9")
	f.Fuzz(func(t *testing.T, one, two, three, addr string) {
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" {
			return
		}
		a = a.Unmap()
		idx := newPoolIndex(&metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{
			{Spec: metallb.IPAddressPoolSpec{Addresses: []string{one, two}}},
			{Spec: metallb.IPAddressPoolSpec{Addresses: []string{three}}},
		}}, func(Withheld) {})
		in := false
		for _, r := range idx.ranges {
			in = in || r.Contains(a)
		}
		if found := idx.find(a); (found != nil) != in {
			t.Errorf("%s in %v: found %v", a, idx.ranges, found)
		}
	})
}

func TestPoolThatCannotBeParsedIsSaid(t *testing.T) {
	f := newFixture("node-a")
	f.pool("p", "10.0.0.9-10.0.0.1", "10.0.1.0/24")
	f.l2("l2")
	f.service("web", "10.0.1.1")

	out := Plan(f.Input)

	diff(t, "reasons", []string{"IPAddressPool p invalidConfiguration"}, reasons(out))
	diff(t, "owners", map[string]string{"10.0.1.1": "node-a"}, layer2(t, out))
}
