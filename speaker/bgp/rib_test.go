package bgp

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRIBIsWhatStepsComeTo: whatever changes in whatever order, what the wire was told adds up to what is wanted, has a next
// hop and is guarded; and doing all at once comes to the same, where the order decides nothing.
func TestRIBIsWhatStepsComeTo(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRIB(sessionConfig{ipv4: true, peerASN: 1, myASN: 2})
		wire := map[netip.Prefix]path{}
		hop := netip.MustParseAddr("192.0.2.1")
		hops := func(p netip.Prefix) netip.Addr {
			if p.Addr().As4()[3]%7 == 0 {
				return netip.Addr{}
			}
			return hop
		}
		var g *guard
		for step := range 30 {
			d := newDelta()
			for range rng.IntN(6) {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(2)), byte(rng.IntN(12))}), 32)
				if rng.IntN(3) == 0 {
					d.drop(p)
				} else {
					d.put(p, attributes{prepend: uint8(rng.IntN(2)), localPref: uint32(rng.IntN(2))})
				}
			}
			switch rng.IntN(5) {
			case 0:
				g = nil
			case 1:
				g = &guard{routes: rng.IntN(15), ranges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
			case 2:
				g = &guard{routes: rng.IntN(15), ranges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}
			case 3:
				hop = netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(3))})
				r.stale = true
			}
			add, remove := r.step(d, g, hops)
			if rng.IntN(10) == 0 { // the wire fails midway
				done := rng.IntN(len(add) + 1)
				for _, p := range add[:done] {
					wire[p.prefix] = p
				}
				if done == len(add) {
					for _, p := range remove[:rng.IntN(len(remove)+1)] {
						delete(wire, p.prefix)
					}
				}
				r.failed(add, remove)
				add, remove = r.step(newDelta(), g, hops)
			}
			for _, p := range add {
				wire[p.prefix] = p
			}
			for _, p := range remove {
				delete(wire, p.prefix)
			}
			where := fmt.Sprintf("seed %d, step %d", seed, step)
			if !maps.Equal(wire, r.have) {
				t.Fatalf("%s: the wire has %v, and is thought to have %v", where, wire, r.have)
			}
			possible := 0
			for p, a := range r.want {
				ok := g.covers(p) && hops(p).IsValid()
				if ok {
					possible++
				}
				has, there := r.have[p]
				switch {
				case there && (!ok || has != path{prefix: p, nextHop: hop, attributes: a}):
					t.Fatalf("%s: %s is on the wire as %+v", where, p, has)
				case !there && ok && !r.surplus[p]:
					t.Fatalf("%s: %s is not on the wire", where, p)
				case !there && !r.missing[p] && r.refused[p] == "":
					t.Fatalf("%s: nobody knows why %s is not on the wire", where, p)
				case there && (r.missing[p] || r.refused[p] != ""):
					t.Fatalf("%s: %s is on the wire and said not to be", where, p)
				}
			}
			if want := min(possible, max(g.room(0), 0)); len(r.have) != want || r.ipv4 != want {
				t.Fatalf("%s: %d routes (%d of IPv4), want %d", where, len(r.have), r.ipv4, want)
			}
			for p := range maps.Keys(r.have) {
				if _, wanted := r.want[p]; !wanted {
					t.Fatalf("%s: %s is on the wire and not wanted", where, p)
				}
			}
		}
	}
}

// TestShownAttributes: what a neighbour does not see is no part of its routes.
func TestShownAttributes(t *testing.T) {
	all := attributes{localPref: 5, prepend: 2, hasMED: true, med: 7}
	inside, outside := attributes{localPref: 5, hasMED: true, med: 7}, attributes{prepend: 2, hasMED: true, med: 7}
	for _, tt := range []struct {
		cfg  sessionConfig
		want attributes
	}{
		{sessionConfig{myASN: 1, peerASN: 1}, inside}, {sessionConfig{myASN: 1, peerASN: 2}, outside},
		{sessionConfig{myASN: 1, localASN: 2, peerASN: 2}, inside}, {sessionConfig{myASN: 1, localASN: 2, peerASN: 1}, outside},
		{sessionConfig{myASN: 1, dynamicASN: "internal"}, inside}, {sessionConfig{myASN: 1, dynamicASN: "external"}, outside},
	} {
		if diff := cmp.Diff(tt.want, tt.cfg.shown(all), cmp.AllowUnexported(attributes{})); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.cfg, diff)
		}
	}
}
