package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model is the allocator by brute force: every address of every pool in a list, every rule a loop.
type model struct {
	pools []Pool
	held  map[string]Assignment
	facts map[string]Service
}

func (m *model) addresses(p Pool) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		for a := r.First(); a.IsValid() && !r.Last().Less(a); a = a.Next() {
			if !(p.AvoidBuggyIPs && buggy(a)) {
				all = append(all, a)
			}
		}
	}
	return all
}

// fits reports whether s may hold addr beside those who do.
func (m *model) fits(s Service, addr netip.Addr) bool {
	for key, as := range m.held {
		o := m.facts[key]
		if key == s.Key || !slices.Contains(as.Addrs, addr) {
			continue
		}
		if s.SharingKey == "" || s.SharingKey != o.SharingKey || s.BackendKey != o.BackendKey {
			return false
		}
		for _, port := range s.Ports {
			if slices.Contains(o.Ports, port) {
				return false
			}
		}
	}
	return true
}

func (m *model) allocate(s Service, f Families) (Assignment, bool) {
	delete(m.held, s.Key)
	var pinned, open []Pool
	for _, p := range m.pools {
		if p.AutoAssign && p.admits(s) {
			if p.Pin != nil {
				pinned = append(pinned, p)
			} else {
				open = append(open, p)
			}
		}
	}
	slices.SortFunc(pinned, func(x, y Pool) int { return byPriority(&pool{Pool: x}, &pool{Pool: y}) })
	slices.SortFunc(open, func(x, y Pool) int { return compareNames(x, y) })
	for _, candidates := range [][]Pool{pinned, open} {
		for _, families := range f.tries() {
			for _, p := range candidates {
				var got []netip.Addr
				for _, family := range families {
					i := slices.IndexFunc(m.addresses(p), func(a netip.Addr) bool { return FamilyOf(a) == family && m.fits(s, a) })
					if i >= 0 {
						got = append(got, m.addresses(p)[i])
					}
				}
				if len(got) == len(families) {
					as := Assignment{Addrs: got, Pool: p.Name}
					m.held[s.Key], m.facts[s.Key] = as, s
					return as, true
				}
			}
		}
	}
	return Assignment{}, false
}

func compareNames(x, y Pool) int {
	switch {
	case x.Name < y.Name:
		return -1
	case x.Name > y.Name:
		return 1
	}
	return 0
}

// poolSets are what the random walk switches among.
func poolSets(t *testing.T) [][]Pool {
	avoiding := openPool(t, "avoiding", "10.0.0.250-10.0.1.6")
	avoiding.AvoidBuggyIPs = true
	return [][]Pool{
		{openPool(t, "a", "10.0.0.0/29", "2001:db8::/125"), openPool(t, "b", "10.0.2.0-10.0.2.4")},
		{openPool(t, "a", "2001:db8::2-2001:db8::5", "10.0.0.4-10.0.0.7"), avoiding},
		{pinnedPool(t, "p", Pin{Priority: 5, ServiceSelectors: selector(t, "tier=web")}, "10.0.0.0/30"),
			pinnedPool(t, "q", Pin{}, "10.0.2.0/31", "2001:db8::/126"), openPool(t, "r", "10.0.3.0/29")},
		{},
	}
}

// TestAgreesWithModel drives the allocator and the model through the same random calls.
func TestAgreesWithModel(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		sets := poolSets(t)
		a, m := New(), &model{held: map[string]Assignment{}, facts: map[string]Service{}}
		for step := range 400 {
			s := randomService(rng)
			switch op := rng.IntN(20); {
			case op == 0:
				m.pools = sets[rng.IntN(len(sets))]
				a.SetPools(m.pools)
			case op < 6:
				a.Release(s.Key)
				delete(m.held, s.Key)
			case op < 9:
				addr := netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(3)), byte(rng.IntN(8))})
				want := m.fits(s, addr) && slices.ContainsFunc(m.pools, func(p Pool) bool {
					return p.admits(s) && slices.Contains(m.addresses(p), addr)
				})
				as, err := a.Assign(s, []netip.Addr{addr})
				if want != (err == nil) {
					t.Fatalf("seed %d step %d: Assign %v to %+v: %v, want %v", seed, step, addr, s, err, want)
				}
				if want {
					m.held[s.Key], m.facts[s.Key] = as, s
				}
			default:
				f := []Families{v4, v6, require, prefer4, prefer6}[rng.IntN(5)]
				a.Release(s.Key)
				want, ok := m.allocate(s, f)
				got, err := a.Allocate(s, f)
				if ok != (err == nil) || !cmp.Equal(want, got, cmp.Comparer(byAddrType)) {
					t.Fatalf("seed %d step %d: Allocate %+v %+v = %+v, %v; want %+v, %v", seed, step, f, s, got, err, want, ok)
				}
			}
			checkInvariants(t, a, m, fmt.Sprintf("seed %d step %d", seed, step))
		}
	}
}

func randomService(rng *rand.Rand) Service {
	s := service(fmt.Sprint(rng.IntN(25)))
	s.Ports = []Port{{"TCP", uint16(80 + rng.IntN(3))}}
	s.SharingKey = []string{"", "", "k", "l"}[rng.IntN(4)]
	s.BackendKey = []string{"", "app=x"}[rng.IntN(2)]
	s.Labels = map[string]string{"tier": []string{"web", "db"}[rng.IntN(2)]}
	return s
}

// checkInvariants compares what is held, and every counter with a count.
func checkInvariants(t *testing.T, a *Allocator, m *model, at string) {
	t.Helper()
	for key, want := range m.held {
		if got, _ := a.Holding(key); !cmp.Equal(want.Addrs, got.Addrs, cmp.Comparer(byAddrType)) {
			t.Fatalf("%s: %s holds %v, want %v", at, key, got.Addrs, want.Addrs)
		}
	}
	if len(a.holdings) != len(m.held) {
		t.Fatalf("%s: %d holders, want %d", at, len(a.holdings), len(m.held))
	}
	for _, p := range m.pools {
		var want [2]Counts
		inUse := map[netip.Addr]bool{}
		for _, as := range m.held {
			for _, addr := range as.Addrs {
				inUse[addr] = true
			}
		}
		for _, addr := range m.addresses(p) {
			c := &want[FamilyOf(addr)]
			c.Total++
			if inUse[addr] {
				c.Assigned++
			} else {
				c.Available++
			}
		}
		if got, _ := a.Stats(p.Name); got != want {
			t.Fatalf("%s: pool %s counts %+v, want %+v", at, p.Name, got, want)
		}
	}
}
