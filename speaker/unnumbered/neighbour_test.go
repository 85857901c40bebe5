package unnumbered

import (
	"net/netip"
	"testing"
	"time"
)

func TestTheNeighbourIsTheFirstUntilItFallsSilent(t *testing.T) {
	a, b, c := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b"), netip.MustParseAddr("fe80::c")
	type said struct {
		at   time.Duration
		from netip.Addr
	}
	tests := map[string]struct {
		said     []said
		want     netip.Addr
		doubtful bool
	}{
		"nobody spoke":                    {nil, netip.Addr{}, true},
		"one":                             {[]said{{0, a}, {10 * time.Second, a}}, a, false},
		"another spoke once":              {[]said{{0, a}, {time.Second, b}}, a, true},
		"another speaks, the first does":  {[]said{{0, a}, {1 * time.Second, b}, {2 * time.Second, a}, {5 * time.Second, b}}, a, true},
		"the first is silent":             {[]said{{0, a}, {1 * time.Second, b}, {2 * time.Second, b}, {4 * time.Second, b}}, b, false},
		"two others: neither is believed": {[]said{{0, a}, {1 * time.Second, b}, {4 * time.Second, c}, {7 * time.Second, b}}, a, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var n neighbour
			start := time.Unix(1_000_000, 0)
			for _, s := range tt.said {
				n.hear(s.from, start.Add(s.at))
			}
			if n.current != tt.want || n.doubtful() != tt.doubtful {
				t.Errorf("neighbour %s, doubtful %t; want %s, %t", n.current, n.doubtful(), tt.want, tt.doubtful)
			}
		})
	}
}
