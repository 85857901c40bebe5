package plan

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestParseCommunity(t *testing.T) {
	tests := []struct {
		in    string
		want  community
		alias bool
		bad   bool
	}{
		{in: "65535:65281", want: community{standard: 0xffffff01}},
		{in: "0:0"},
		{in: "large:4294967295:0:7", want: community{large: true, wide: largeCommunity{4294967295, 0, 7}}},
		{in: "no-export", alias: true},
		{in: "", alias: true},
		{in: "65536:1", bad: true},
		{in: "1:65536", bad: true},
		{in: "-1:1", bad: true},
		{in: "1:", bad: true},
		{in: "1:2:3", bad: true},
		{in: "big:1:2:3", bad: true},
		{in: "large:1:2:4294967296", bad: true},
		{in: "large:1:2", bad: true},
	}
	for _, tt := range tests {
		got, err := parseCommunity(tt.in)
		if (err != nil) != (tt.bad || tt.alias) || errors.Is(err, errUnknownAlias) != tt.alias || got != tt.want {
			t.Errorf("parseCommunity(%q) = %v, %v", tt.in, got, err)
		}
	}
}

func FuzzParseCommunity(f *testing.F) {
	for _, s := range []string{"65535:65281", "large:1:2:3", "no-export", "1:2:3", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCommunity(s)
		if err != nil {
			return
		}
		if again, err := parseCommunity(c.String()); err != nil || again != c {
			t.Errorf("%q reads as %v, which reads as %v, %v", s, c, again, err)
		}
	})
}

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
		idx := newPoolIndex([]*metallb.IPAddressPool{
			{Spec: metallb.IPAddressPoolSpec{Addresses: []string{one, two}}},
			{Spec: metallb.IPAddressPoolSpec{Addresses: []string{three}}},
		}, func(Withheld) {})
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
