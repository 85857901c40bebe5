package ipam

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// poolSets are what the random walk switches among.
func poolSets(t *testing.T) [][]Pool {
	avoiding := openPool(t, "avoiding", "10.0.0.250-10.0.1.6")
	avoiding.AvoidBuggyIPs = true
	avoiding.Cooldown = 10 * time.Minute
	byHand := openPool(t, "hand", "10.0.4.0/30", "2001:db8:4::/126")
	byHand.AutoAssign = false
	resting := openPool(t, "a", "10.0.0.0/29", "2001:db8::/125")
	resting.Cooldown = time.Hour
	limited := openPool(t, "a", "10.0.0.0/29", "2001:db8::/125")
	limited.Cooldown = 30 * time.Hour // beyond Stickiness
	limited.Quota = &Quota{PerNamespace: 3, Namespaces: map[string]int64{"one": 0, "two": 5}}
	pinned := pinnedPool(t, "p", Pin{Priority: 5, ServiceSelectors: selector(t, "tier=web")}, "10.0.0.0/30")
	pinned.Quota = &Quota{PerNamespace: -1, Namespaces: map[string]int64{"one": 1}}
	return [][]Pool{
		{resting, openPool(t, "b", "10.0.2.0-10.0.2.4"), byHand},
		{limited, openPool(t, "b", "10.0.2.0-10.0.2.4")},
		{openPool(t, "a", "2001:db8::2-2001:db8::5", "10.0.0.4-10.0.0.7"), avoiding},
		{pinned, pinnedPool(t, "q", Pin{}, "10.0.2.0/31", "2001:db8::/126"), openPool(t, "r", "10.0.3.0/29")},
		{openPool(t, "b", "10.0.0.0/29", "2001:db8::/125")}, // renamed
		{openPool(t, "a", "10.0.0.0/32"), openPool(t, "b", "10.0.0.1/32", "2001:db8::/128"), openPool(t, "c", "2001:db8::2/127"), // small ones
			openPool(t, "d", "10.0.0.2/31", "2001:db8::1/128"), openPool(t, "e", "10.0.0.4/30", "2001:db8::4/126"),
			pinnedPool(t, "f", Pin{Namespaces: map[string]bool{"one": true}, ByNamespace: true}, "10.0.2.0/32"), pinnedPool(t, "g", Pin{Priority: 1}, "10.0.2.1/32", "2001:db8::8/128")},
		{},
	}
}

// reservationSets likewise.
func reservationSets(t *testing.T) [][]Reservation {
	return [][]Reservation{
		nil,
		{{Name: "mine", Ranges: ranges(t, "10.0.0.5/32", "2001:db8::3/128"), Namespace: "default", Service: "3"},
			{Name: "none", Ranges: ranges(t, "10.0.0.0-10.0.0.2", "10.0.1.0/30")},
			{Name: "ours", Ranges: ranges(t, "10.0.2.2-10.0.2.3", "2001:db8::/127"), Namespace: "one"}},
		{{Name: "mine", Ranges: ranges(t, "10.0.0.4-10.0.0.6"), Namespace: "two", Service: "3"},
			{Name: "ours", Ranges: ranges(t, "10.0.0.0/30", "10.0.4.2/32"), Namespace: "two"}},
		{{Name: "all", Ranges: ranges(t, "::/0"), Namespace: "default"}, {Name: "overlapping", Ranges: ranges(t, "2001:db8::/127"), Namespace: "one"}},
	}
}

func randomService(rng *rand.Rand) Service {
	name := fmt.Sprint(rng.IntN(9))
	s := Service{Namespace: []string{"default", "one", "two"}[rng.IntN(3)]}
	s.Key = s.Namespace + "/" + name
	for range 1 + rng.IntN(2) {
		s.Ports = append(s.Ports, Port{[]string{"TCP", "UDP"}[rng.IntN(2)], uint16(80 + rng.IntN(3))})
	}
	s.SharingKey = []string{"", "", "k", "l"}[rng.IntN(4)]
	s.BackendKey = []string{"", "", "app=x"}[rng.IntN(3)]
	s.Labels = map[string]string{"tier": []string{"web", "db"}[rng.IntN(2)]}
	return s
}

func randomAddrs(rng *rand.Rand) []netip.Addr {
	four := netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(5)), byte(rng.IntN(8))})
	six := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", rng.IntN(8)))
	return [][]netip.Addr{{four}, {four}, {six}, {four, six}}[rng.IntN(4)]
}

var families = []Families{v4, v4, v6, require, prefer4, prefer6}

// tryOut does at random what must leave nothing behind.
func tryOut(a *Allocator, rng *rand.Rand) {
	s := randomService(rng)
	a.Try(s.Key, func() {
		for range rng.IntN(3) {
			a.Release(s.Key)
			if rng.IntN(2) == 0 {
				_, _ = a.Assign(s, randomAddrs(rng)) // whatever comes of it
			} else {
				_, _ = a.Allocate(s, families[rng.IntN(len(families))])
			}
		}
	})
}

// TestAgreesWithModel drives the allocator and the model through the same random events: of pools, reservations,
// quotas, Services, time and restarts. After each step the results are the same, and so is everything that is held,
// counted and remembered.
func TestAgreesWithModel(t *testing.T) {
	pools, reservations := poolSets(t), reservationSets(t)
	happened := map[string]int{}
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		a, m := New(), newModel()
		trials := rand.New(rand.NewPCG(seed, 8))
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		a.Advance(now)
		m.advance(now)
		for step := range 500 {
			at := fmt.Sprintf("seed %d step %d", seed, step)
			s := randomService(rng)
			tryOut(a, trials)
			switch op := rng.IntN(40); {
			case op == 0:
				m.pools = pools[rng.IntN(len(pools))]
				a.SetPools(m.pools)
				happened["pools"]++
			case op == 1:
				m.reservations = reservations[rng.IntN(len(reservations))]
				a.SetReservations(m.reservations)
				happened["reservations"]++
			case op < 5:
				now = now.Add([]time.Duration{0, time.Second, 7 * time.Minute, time.Hour, 20 * time.Hour}[rng.IntN(5)])
				a.Advance(now)
				m.advance(now)
			case op == 5:
				a = restarted(t, a, m, rng)
				happened["restart"]++
			case op < 14:
				a.Release(s.Key)
				m.release(s.Key)
			case op < 20:
				addrs := randomAddrs(rng)
				want := m.assign(s, addrs)
				_, err := a.Assign(s, addrs)
				if want != kindOf(err) {
					t.Fatalf("%s: Assign %v to %+v: %v, want %q", at, addrs, s, err, want)
				}
				happened["assign: "+want]++
			case op < 22:
				held, holds := m.held[s.Key]
				if !holds || len(held.Addrs) == 2 {
					continue
				}
				why := m.assign(s, held.Addrs)
				if _, err := a.Assign(s, held.Addrs); kindOf(err) != why {
					t.Fatalf("%s: Assign of what it holds: %v, want %q", at, err, why)
				} else if err != nil {
					continue
				}
				of, _ := m.poolOf(held.Addrs[0])
				other := IPv6 - FamilyOf(held.Addrs[0])
				want, ok := m.choose(s, of, other, m.room(s, of) > 0)
				got, err := a.Extend(s, other)
				if ok != (err == nil) || got != want && ok {
					t.Fatalf("%s: Extend %+v: %v, %v; want %v, %v", at, s, got, err, want, ok)
				}
				if ok {
					m.hold(s, Assignment{Addrs: inOrder([]netip.Addr{held.Addrs[0], want}), Pool: of.Name})
					happened["extend"]++
				}
			default:
				f := families[rng.IntN(len(families))]
				a.Release(s.Key)
				m.release(s.Key)
				var want, got Assignment
				var ok bool
				var err error
				if name := []string{"", "", "a", "b", "hand"}[rng.IntN(5)]; name == "" {
					want, ok = m.allocate(s, f)
					got, err = a.Allocate(s, f)
				} else {
					want, ok = m.allocateFrom(s, name, f)
					got, err = a.AllocateFrom(s, name, f)
				}
				if ok != (err == nil) || !cmp.Equal(want, got, cmp.Comparer(byAddrType)) {
					t.Fatalf("%s: Allocate %+v %+v = %+v, %v; want %+v, %v", at, f, s, got, err, want, ok)
				}
				if retry, ok := RetryAt(err); ok && (!retry.After(now) || retry.Before(wakes(m))) {
					t.Fatalf("%s: %v: try again at %v, now is %v and nothing wakes before %v", at, err, retry, now, wakes(m))
				}
				happened["allocate: "+kindOf(err)]++
			}
			checkInvariants(t, a, m, at)
		}
	}
	for _, what := range []string{"pools", "reservations", "restart", "extend", "allocate: ", "allocate: *ipam.ExhaustedError", "assign: ",
		"assign: outside", "assign: incompatible", "assign: in use", "assign: port", "assign: reserved", "assign: resting", "assign: quota"} {
		if happened[what] == 0 {
			t.Errorf("%q happened %d times", what, happened[what])
		}
	}
}

// wakes is when the first address comes to the end of its rest.
func wakes(m *model) (first time.Time) {
	for addr := range m.past {
		if until := m.restsUntil(addr); !until.IsZero() && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	return first
}

// restarted is an allocator that was told in some order what the one before knew.
func restarted(t *testing.T, before *Allocator, m *model, rng *rand.Rand) *Allocator {
	t.Helper()
	a := New()
	past := before.Remembered()
	rng.Shuffle(len(past), func(i, j int) { past[i], past[j] = past[j], past[i] })
	adopt := func() {
		for _, key := range slices.Sorted(maps.Keys(m.held)) {
			if _, err := a.Adopt(m.facts[key], m.held[key].Addrs); err != nil {
				if err := a.Keep(m.facts[key], m.held[key].Addrs, m.held[key].Pool); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	steps := []func(){
		func() { a.SetPools(m.pools) }, func() { a.SetReservations(m.reservations) }, adopt,
		func() { a.Remember(past) }, func() { a.SetPools(m.pools) },
	}
	a.Advance(m.now)
	rng.Shuffle(len(steps)-1, func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
	return a
}

// checkInvariants compares what is held and remembered, and every counter with a count.
func checkInvariants(t *testing.T, a *Allocator, m *model, at string) {
	t.Helper()
	for key, want := range m.held {
		if got, _ := a.Holding(key); !cmp.Equal(want.Addrs, got.Addrs, cmp.Comparer(byAddrType)) {
			t.Fatalf("%s: %s holds %v, want %v", at, key, got.Addrs, want.Addrs)
		}
		for _, addr := range want.Addrs {
			if why := m.clash(m.facts[key], addr); why != "" {
				t.Fatalf("%s: %s and others hold %v: %s", at, key, addr, why)
			}
		}
	}
	if len(a.holdings) != len(m.held) {
		t.Fatalf("%s: %d holders, want %d", at, len(a.holdings), len(m.held))
	}
	past := slices.SortedFunc(maps.Values(m.past), func(x, y Past) int { return x.Addr.Compare(y.Addr) })
	if diff := cmp.Diff(past, a.Remembered(), cmp.Comparer(byAddrType)); diff != "" && len(past)+len(a.Remembered()) > 0 {
		t.Fatalf("%s: remembered (-want +got):\n%s", at, diff)
	}
	if got, _ := a.NextWake(); !got.Equal(wakes(m)) {
		t.Fatalf("%s: next to wake at %v, want %v", at, got, wakes(m))
	}
	for _, p := range m.pools {
		var want [2]Counts
		for _, addr := range m.addresses(p) {
			c := &want[FamilyOf(addr)]
			c.Total++
			held := len(m.holders(addr)) > 0
			if held {
				c.Assigned++
			} else {
				c.Available++
			}
			b := a.blockOf(addr)
			if free := b.lotFor(a.ownerOf(addr)).free.contains(b.indexOf(addr)); free != (!held && m.restsUntil(addr).IsZero()) {
				t.Fatalf("%s: %v is free: %v", at, addr, free)
			}
		}
		if got, _ := a.Stats(p.Name); got != want {
			t.Fatalf("%s: pool %s counts %+v, want %+v", at, p.Name, got, want)
		}
		for _, namespace := range []string{"default", "one", "two"} {
			if got, want := a.pools[p.Name].used(namespace), m.used(namespace, p); got != want {
				t.Fatalf("%s: namespace %s has %d of pool %s, want %d", at, namespace, got, p.Name, want)
			}
		}
	}
}
