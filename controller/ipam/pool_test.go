package ipam

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
)

// TestSetPools is spec.md section 4.6: what a change of pools means to an address in use.
func TestSetPools(t *testing.T) {
	noAuto := openPool(t, "a", "10.0.0.0/24")
	noAuto.AutoAssign = false
	noBuggy := openPool(t, "a", "10.0.0.0/24")
	noBuggy.AvoidBuggyIPs = true
	tests := []struct {
		name    string
		pools   []Pool
		lost    string // reason
		renamed bool
	}{
		{name: "unchanged", pools: []Pool{openPool(t, "a", "10.0.0.0/24")}},
		{name: "more before it", pools: []Pool{openPool(t, "a", "10.9.0.0/24", "10.0.0.0/24")}},
		{name: "shrunk, keeping it", pools: []Pool{openPool(t, "a", "10.0.0.0/32")}},
		{name: "shrunk, losing it", pools: []Pool{openPool(t, "a", "10.0.0.1-10.0.0.9")}, lost: `["10.0.0.0"] is not allowed in config`},
		{name: "renamed", pools: []Pool{openPool(t, "b", "10.0.0.0/24")}, renamed: true},
		{name: "moved to another", pools: []Pool{openPool(t, "a", "10.1.0.0/24"), openPool(t, "b", "10.0.0.0/24")}, renamed: true},
		{name: "autoAssign off", pools: []Pool{noAuto}},
		{name: "avoidBuggyIPs on", pools: []Pool{noBuggy}, lost: `["10.0.0.0"] is not allowed in config`},
		{name: "pinned elsewhere", pools: []Pool{pinnedPool(t, "a", Pin{ByNamespace: true}, "10.0.0.0/24")}, lost: "pool a not compatible for ip assignment: it is for other namespaces"},
		{name: "a better pool appears", pools: []Pool{openPool(t, "a", "10.0.0.0/24"), pinnedPool(t, "0", Pin{Priority: 1}, "10.1.0.0/24")}},
		{name: "all deleted", lost: `["10.0.0.0"] is not allowed in config`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := with(openPool(t, "a", "10.0.0.0/24"))
			if _, err := a.Allocate(service("x"), v4); err != nil {
				t.Fatal(err)
			}

			lost, renamed := a.SetPools(tt.pools)

			reason := ""
			for _, l := range lost {
				reason = l.Err.Error()
			}
			if reason != tt.lost || tt.renamed != (len(renamed) == 1) {
				t.Errorf("lost %q, renamed %v; want %q, %v", reason, renamed, tt.lost, tt.renamed)
			}
			// Whatever was said, the address has not moved and nobody else can get it.
			if got, _ := a.Holding("default/x"); !cmp.Equal(got.Addrs, addrs("10.0.0.0"), cmp.Comparer(byAddrType)) || got.Kept != (tt.lost != "") {
				t.Errorf("holds %+v", got)
			}
			if again, _ := a.SetPools(tt.pools); len(again) != 0 {
				t.Errorf("reported twice: %v", again)
			}
			a.SetPools([]Pool{openPool(t, "z", "10.0.0.0/32")})
			if other, err := a.Allocate(service("y"), v4); err == nil {
				t.Errorf("somebody else got %v", other)
			}
		})
	}
}

func TestKeepOutsideEveryPool(t *testing.T) {
	a := New()
	if err := a.Keep(service("x"), addrs("10.0.0.0"), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(service("y"), addrs("10.0.0.0"), "gone"); err == nil {
		t.Error("two Services keep one address")
	}
	if _, renamed := a.SetPools([]Pool{openPool(t, "back", "10.0.0.0/24")}); !cmp.Equal(renamed, []string{"default/x"}) {
		t.Errorf("renamed %v", renamed)
	}
	got, _ := a.Holding("default/x")
	if diff := cmp.Diff(Assignment{Addrs: addrs("10.0.0.0"), Pool: "back"}, got, cmp.Comparer(byAddrType)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOverlappingPools: no rule of ours lets them come to be, but one address stays of one pool if they do.
func TestOverlappingPools(t *testing.T) {
	a := with(openPool(t, "b", "10.0.0.0/29"), openPool(t, "a", "10.0.0.2-10.0.0.3", "10.0.0.3-10.0.0.4"))
	total := int64(0)
	for _, name := range a.PoolNames() {
		stats, _ := a.Stats(name)
		total += stats[IPv4].Total
	}
	if total != 8 {
		t.Errorf("%d addresses, want 8", total)
	}
	a.SetPools([]Pool{openPool(t, "b", "10.0.0.0/29")})
	if stats, _ := a.Stats("b"); stats[IPv4].Total != 8 {
		t.Errorf("%d addresses after the overlap ended, want 8", stats[IPv4].Total)
	}
}

func TestStats(t *testing.T) {
	noBuggy := openPool(t, "n", "10.1.0.0/22")
	noBuggy.AvoidBuggyIPs = true
	tests := []struct {
		pool Pool
		take []string
		want [2]Counts
	}{
		{openPool(t, "a", "10.0.0.0/24"), []string{"10.0.0.1", "10.0.0.9"}, [2]Counts{IPv4: {256, 2, 254}}},
		{noBuggy, []string{"10.1.0.1"}, [2]Counts{IPv4: {4 * 254, 1, 4*254 - 1}}},
		{openPool(t, "a", "0.0.0.0/0"), nil, [2]Counts{IPv4: {1 << 32, 0, 1 << 32}}},
		{openPool(t, "a", "::/0"), []string{"::1"}, [2]Counts{IPv6: {math.MaxInt64, 1, math.MaxInt64}}},
		{openPool(t, "a", "2001:db8::/64", "2001:db8:1::/64"), nil, [2]Counts{IPv6: {math.MaxInt64, 0, math.MaxInt64}}},
		{openPool(t, "a", "2001:db8::/66"), []string{"2001:db8::5"}, [2]Counts{IPv6: {1 << 62, 1, 1<<62 - 1}}},
		{openPool(t, "a", "10.0.0.7/32"), []string{"10.0.0.7"}, [2]Counts{IPv4: {1, 1, 0}}},
	}
	for _, tt := range tests {
		a := with(tt.pool)
		for _, text := range tt.take {
			if _, err := a.Assign(service(text), addrs(text)); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := a.Stats(tt.pool.Name)
		if diff := cmp.Diff(tt.want, got); diff != "" || !ok {
			t.Errorf("%v: -want +got:\n%s", tt.pool.Ranges, diff)
		}
	}
	if _, ok := New().Stats("none"); ok {
		t.Error("Stats of a pool that does not exist")
	}
}

func TestPinAdmits(t *testing.T) {
	p := pinnedPool(t, "a", Pin{ServiceSelectors: append(selector(t, "tier=web"), selector(t, "tier=db")...)}, "10.0.0.0/24")
	for tier, want := range map[string]bool{"web": true, "db": true, "other": false} {
		s := service("x")
		s.Labels = labels.Set{"tier": tier}
		if got := p.admits(s); got != want {
			t.Errorf("tier %s: %v, want %v", tier, got, want)
		}
	}
}
