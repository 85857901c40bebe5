package addrrange

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in, want string // want is the String of the range
		err      string
	}{
		{in: "10.0.0.0/24", want: "10.0.0.0/24"},
		{in: "10.0.0.77/24", want: "10.0.0.0/24"},
		{in: "10.0.0.1/32", want: "10.0.0.1/32"},
		{in: "0.0.0.0/0", want: "0.0.0.0/0"},
		{in: "10.0.0.1-10.0.0.9", want: "10.0.0.1-10.0.0.9"},
		{in: "10.0.0.1 - 10.0.0.9", want: "10.0.0.1-10.0.0.9"},
		{in: "10.0.0.0-10.0.0.255", want: "10.0.0.0/24"},
		{in: "10.0.0.1-10.0.0.1", want: "10.0.0.1/32"},
		{in: "2001:db8::/64", want: "2001:db8::/64"},
		{in: "2001:db8::1-2001:db8::5", want: "2001:db8::1-2001:db8::5"},
		{in: "::/0", want: "::/0"},
		{in: "::ffff:10.0.0.0/120", want: "10.0.0.0/24"},
		{in: "::ffff:10.0.0.1-10.0.0.2", want: "10.0.0.1-10.0.0.2"},

		{in: "10.0.0.1", err: `invalid CIDR "10.0.0.1": no prefix length; for one address write 10.0.0.1/32`},
		{in: "2001:db8::1", err: `for one address write 2001:db8::1/128`},
		{in: "", err: `invalid CIDR ""`},
		{in: "10.0.0.0/33", err: `invalid CIDR "10.0.0.0/33"`},
		{in: "::ffff:10.0.0.0/64", err: "wider than the IPv4-mapped addresses"},
		{in: "fe80::1%eth0/64", err: "invalid CIDR"},
		{in: "10.0.0.1-", err: `invalid IP range "10.0.0.1-": invalid end IP ""`},
		{in: "x-10.0.0.1", err: `invalid start IP "x"`},
		{in: "fe80::1%e-fe80::2", err: `invalid start IP "fe80::1%e"`},
		{in: "10.0.0.9-10.0.0.1", err: `start IP "10.0.0.9" is after the end IP "10.0.0.1"`},
		{in: "10.0.0.1-2001::1", err: `start IP "10.0.0.1" and end IP "2001::1" are of different families`},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			r, err := Parse(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("Parse(%q) = %v, %v; want error with %q", tt.in, r, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, r.String()); diff != "" {
				t.Errorf("String (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrefixes(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"10.0.0.0/24", []string{"10.0.0.0/24"}},
		{"10.0.0.1-10.0.0.6", []string{"10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"}},
		{"10.0.0.0-10.0.0.8", []string{"10.0.0.0/29", "10.0.0.8/32"}},
		{"255.255.255.254-255.255.255.255", []string{"255.255.255.254/31"}},
		{"0.0.0.0/0", []string{"0.0.0.0/0"}},
		{"2001:db8::-2001:db8::2", []string{"2001:db8::/127", "2001:db8::2/128"}},
		{"::/0", []string{"::/0"}},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			var got []string
			for _, p := range mustParse(t, tt.in).Prefixes() {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Prefixes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCount(t *testing.T) {
	tests := []struct {
		in   string
		want int64
	}{
		{"10.0.0.0/24", 256},
		{"10.0.0.1-10.0.0.1", 1},
		{"0.0.0.0/0", 1 << 32},
		{"2001:db8::/66", 1 << 62},
		{"2001:db8::/65", math.MaxInt64},
		{"2001:db8::/64", math.MaxInt64},
		{"::/0", math.MaxInt64},
		{"2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::", 2},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			if got := mustParse(t, tt.in).Count(); got != tt.want {
				t.Errorf("Count = %d, want %d", got, tt.want)
			}
		})
	}
	if got := (Range{}).Count(); got != 0 {
		t.Errorf("Count of the zero Range = %d, want 0", got)
	}
}

// TestRangesAgreeWithSets compares every operation with the same on sets of addresses.
func TestRangesAgreeWithSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const space = 64
	for _, base := range []string{"10.0.0.0", "2001:db8::", "255.255.255.192"} {
		addrs := make([]netip.Addr, space)
		addrs[0] = netip.MustParseAddr(base)
		for i := 1; i < space; i++ {
			addrs[i] = addrs[i-1].Next()
		}
		pick := func() (Range, map[netip.Addr]bool) {
			from, to := rng.IntN(space), rng.IntN(space)
			if from > to {
				from, to = to, from
			}
			r, err := New(addrs[from], addrs[to])
			if err != nil {
				t.Fatal(err)
			}
			set := map[netip.Addr]bool{}
			for _, a := range addrs[from : to+1] {
				set[a] = true
			}
			return r, set
		}
		for range 500 {
			a, aSet := pick()
			b, bSet := pick()

			both := map[netip.Addr]bool{}
			for x := range aSet {
				if bSet[x] {
					both[x] = true
				}
			}
			shared, ok := a.Intersect(b)
			if ok != (len(both) > 0) || ok != a.Overlaps(b) || ok != b.Overlaps(a) {
				t.Fatalf("%v and %v: Intersect ok = %v, shared addresses %d", a, b, ok, len(both))
			}
			if ok && shared.Count() != int64(len(both)) {
				t.Fatalf("%v and %v share %v, want %d addresses", a, b, shared, len(both))
			}

			covered := map[netip.Addr]bool{}
			for _, p := range a.Prefixes() {
				for x := p.Addr(); x.IsValid() && p.Contains(x); x = x.Next() {
					if covered[x] {
						t.Fatalf("%v: %v is in two prefixes", a, x)
					}
					covered[x] = true
				}
			}
			if diff := cmp.Diff(aSet, covered, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
				t.Fatalf("%v: prefixes (-want +got):\n%s", a, diff)
			}
			for _, x := range addrs {
				if a.Contains(x) != aSet[x] {
					t.Fatalf("%v contains %v = %v", a, x, a.Contains(x))
				}
			}
			if again := mustParse(t, a.String()); again != a {
				t.Fatalf("%v reads back as %v", a, again)
			}
		}
	}
}

func TestZeroRangeHoldsNothing(t *testing.T) {
	var zero Range
	all := mustParse(t, "::/0")
	if zero.IsValid() || zero.Overlaps(all) || all.Overlaps(zero) || zero.Overlaps(zero) ||
		zero.Contains(netip.Addr{}) || all.Contains(netip.Addr{}) || len(zero.Prefixes()) != 0 {
		t.Error("the zero Range holds something")
	}
}

func mustParse(t *testing.T, s string) Range {
	t.Helper()
	r, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
