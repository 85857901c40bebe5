package ipam

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
)

// TestAllocateChoosesPool is spec.md sections 4.4 and 4.5: which pool serves whom, and with which families.
func TestAllocateChoosesPool(t *testing.T) {
	four, six := "10.0.0.0/30", "2001:db8::/126"
	inDefault := Pin{ByNamespace: true, Namespaces: map[string]bool{"default": true}}
	elsewhere := Pin{ByNamespace: true, Namespaces: map[string]bool{"other": true}}
	tests := []struct {
		name     string
		pools    []Pool
		families Families
		from     string // explicit pool
		labels   labels.Set
		want     Assignment
		err      string
	}{
		{name: "equal pools by name", pools: []Pool{openPool(t, "b", "10.1.0.0/30"), openPool(t, "a", four)},
			want: Assignment{Addrs: addrs("10.0.0.0"), Pool: "a"}},
		{name: "ranges in declared order", pools: []Pool{openPool(t, "a", "10.9.0.0/30", four)},
			want: Assignment{Addrs: addrs("10.9.0.0"), Pool: "a"}},
		{name: "autoAssign off", pools: []Pool{{Name: "a", Ranges: ranges(t, four)}}, err: "no available IPs"},
		{name: "autoAssign off, explicit", pools: []Pool{{Name: "a", Ranges: ranges(t, four)}}, from: "a",
			want: Assignment{Addrs: addrs("10.0.0.0"), Pool: "a"}},
		{name: "buggy addresses", pools: []Pool{{Name: "a", Ranges: ranges(t, "10.0.0.255-10.0.1.2"), AutoAssign: true, AvoidBuggyIPs: true}},
			want: Assignment{Addrs: addrs("10.0.1.1"), Pool: "a"}},
		{name: "nothing but buggy addresses", pools: []Pool{{Name: "a", Ranges: ranges(t, "10.0.0.255-10.0.1.0"), AutoAssign: true, AvoidBuggyIPs: true}},
			err: "no available IPs"},
		{name: "IPv6 has no buggy addresses", pools: []Pool{{Name: "a", Ranges: ranges(t, "2001:db8::ff-2001:db8::100"), AutoAssign: true, AvoidBuggyIPs: true}},
			families: v6, want: Assignment{Addrs: addrs("2001:db8::ff"), Pool: "a"}},
		{name: "pinned before open", pools: []Pool{openPool(t, "a", four), pinnedPool(t, "z", inDefault, "10.9.0.0/30")},
			want: Assignment{Addrs: addrs("10.9.0.0"), Pool: "z"}},
		{name: "pinned elsewhere", pools: []Pool{pinnedPool(t, "a", elsewhere, four)}, err: "no available IPs"},
		{name: "pinned elsewhere, explicit", pools: []Pool{pinnedPool(t, "a", elsewhere, four)}, from: "a",
			err: "pool a not compatible for ip assignment"},
		{name: "selectors that match no namespace open nothing", pools: []Pool{pinnedPool(t, "a", Pin{ByNamespace: true}, four)}, from: "a",
			err: "pool a not compatible for ip assignment"},
		{name: "pinned to everything", pools: []Pool{openPool(t, "a", four), pinnedPool(t, "z", Pin{}, "10.9.0.0/30")},
			want: Assignment{Addrs: addrs("10.9.0.0"), Pool: "z"}},
		{name: "priority: lowest first, 0 last", pools: []Pool{
			pinnedPool(t, "a", Pin{}, four), pinnedPool(t, "b", Pin{Priority: 20}, "10.1.0.0/30"), pinnedPool(t, "c", Pin{Priority: 10}, "10.2.0.0/30")},
			want: Assignment{Addrs: addrs("10.2.0.0"), Pool: "c"}},
		{name: "service selector", pools: []Pool{pinnedPool(t, "a", Pin{ServiceSelectors: selector(t, "tier=web")}, four)},
			labels: labels.Set{"tier": "web"}, want: Assignment{Addrs: addrs("10.0.0.0"), Pool: "a"}},
		{name: "service selector that does not match", pools: []Pool{pinnedPool(t, "a", Pin{ServiceSelectors: selector(t, "tier=web")}, four)},
			err: "no available IPs"},
		{name: "namespace and service selector", pools: []Pool{pinnedPool(t, "a",
			Pin{ByNamespace: true, Namespaces: map[string]bool{"other": true}, ServiceSelectors: selector(t, "tier=web")}, four)},
			labels: labels.Set{"tier": "web"}, err: "no available IPs"},
		{name: "unknown pool", from: "x", err: `unknown pool "x"`},
		{name: "explicit pool is full", pools: []Pool{openPool(t, "a", six), openPool(t, "b", four)}, from: "a", err: "no available IPs in pool a"},

		{name: "IPv6", pools: []Pool{openPool(t, "a", four, six)}, families: v6, want: Assignment{Addrs: addrs("2001:db8::"), Pool: "a"}},
		{name: "RequireDualStack", pools: []Pool{openPool(t, "a", four), openPool(t, "b", six), openPool(t, "c", "2001:db8:1::/126", "10.1.0.0/30")},
			families: require, want: Assignment{Addrs: addrs("10.1.0.0", "2001:db8:1::"), Pool: "c"}},
		{name: "RequireDualStack from two pools", pools: []Pool{openPool(t, "a", four), openPool(t, "b", six)}, families: require, err: "no available IPs"},
		{name: "PreferDualStack: the pool that has both", pools: []Pool{openPool(t, "a", four), openPool(t, "b", "10.1.0.0/30", six)},
			families: prefer4, want: Assignment{Addrs: addrs("10.1.0.0", "2001:db8::"), Pool: "b"}},
		{name: "PreferDualStack: the primary family", pools: []Pool{openPool(t, "a", four), openPool(t, "b", six)},
			families: prefer6, want: Assignment{Addrs: addrs("2001:db8::"), Pool: "b"}},
		{name: "PreferDualStack: the secondary family", pools: []Pool{openPool(t, "a", six)},
			families: prefer4, want: Assignment{Addrs: addrs("2001:db8::"), Pool: "a"}},
		{name: "PreferDualStack: pinned with one family before open with both", pools: []Pool{openPool(t, "a", four, six), pinnedPool(t, "z", Pin{}, "2001:db8:1::/126")},
			families: prefer4, want: Assignment{Addrs: addrs("2001:db8:1::"), Pool: "z"}},
		{name: "PreferDualStack, explicit pool", pools: []Pool{openPool(t, "a", six)}, families: prefer4, from: "a",
			want: Assignment{Addrs: addrs("2001:db8::"), Pool: "a"}},
		{name: "the last address there is", pools: []Pool{openPool(t, "a", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")}, families: v6,
			want: Assignment{Addrs: addrs("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Pool: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := with(tt.pools...)
			s := service("x")
			s.Labels = tt.labels

			var got Assignment
			var err error
			if tt.from != "" {
				got, err = a.AllocateFrom(s, tt.from, tt.families)
			} else {
				got, err = a.Allocate(s, tt.families)
			}

			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				if _, holds := a.Holding(s.Key); holds {
					t.Error("holds something after an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(byAddrType)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAssign is the first rule of spec.md section 4.5: addresses that were asked for.
func TestAssign(t *testing.T) {
	pools := []Pool{
		openPool(t, "a", "10.0.0.0/24", "2001:db8::/64"),
		{Name: "b", Ranges: ranges(t, "10.1.0.0/24"), AvoidBuggyIPs: true},
		pinnedPool(t, "c", Pin{ByNamespace: true, Namespaces: map[string]bool{"other": true}}, "10.2.0.0/24"),
	}
	tests := []struct {
		name  string
		addrs []netip.Addr
		want  Assignment
		err   string
	}{
		{name: "one", addrs: addrs("10.0.0.7"), want: Assignment{Addrs: addrs("10.0.0.7"), Pool: "a"}},
		{name: "both families, in our order", addrs: addrs("2001:db8::7", "10.0.0.7"), want: Assignment{Addrs: addrs("10.0.0.7", "2001:db8::7"), Pool: "a"}},
		{name: "IPv4-mapped", addrs: addrs("::ffff:10.0.0.7"), want: Assignment{Addrs: addrs("10.0.0.7"), Pool: "a"}},
		{name: "without autoAssign", addrs: addrs("10.1.0.7"), want: Assignment{Addrs: addrs("10.1.0.7"), Pool: "b"}},
		{name: "outside", addrs: addrs("4.3.2.1"), err: `["4.3.2.1"] is not allowed in config`},
		{name: "half outside", addrs: addrs("10.0.0.7", "2001:db9::"), err: `["10.0.0.7" "2001:db9::"] is not allowed in config`},
		{name: "of two pools", addrs: addrs("10.1.0.7", "2001:db8::7"), err: `["10.1.0.7" "2001:db8::7"] is not allowed in config`},
		{name: "buggy", addrs: addrs("10.1.0.255"), err: `["10.1.0.255"] is not allowed in config`},
		{name: "pool for others", addrs: addrs("10.2.0.7"), err: "pool c not compatible for ip assignment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := with(pools...)
			got, err := a.Assign(service("x"), tt.addrs)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, ErrNotAllowed) {
					t.Fatalf("error %v, want %q as ErrNotAllowed", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(byAddrType)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSharing is spec.md section 4.7.
func TestSharing(t *testing.T) {
	sharer := func(name, key, backend string, port uint16) Service {
		s := service(name)
		s.SharingKey, s.BackendKey, s.Ports = key, backend, []Port{{"TCP", port}}
		return s
	}
	holder := sharer("holder", "k", "", 80)
	tests := []struct {
		name  string
		asker Service
		err   string
	}{
		{name: "same key, other port", asker: sharer("x", "k", "", 81)},
		{name: "same key, same port", asker: sharer("x", "k", "", 80), err: `port TCP/80 is already in use on "10.0.0.1"`},
		{name: "same number, other protocol", asker: Service{Key: "default/x", SharingKey: "k", Ports: []Port{{"UDP", 80}}}},
		{name: "other key", asker: sharer("x", "other", "", 81), err: `can't change sharing key for "default/x", address also in use by default/holder`},
		{name: "no key", asker: sharer("x", "", "", 81), err: `can't change sharing key for "default/x", address also in use by default/holder`},
		{name: "other backends", asker: sharer("x", "k", "app=x", 81), err: `can't change sharing key for "default/x", address also in use by default/holder`},
		{name: "keys before ports", asker: sharer("x", "other", "", 80), err: `can't change sharing key for "default/x", address also in use by default/holder`},
		{name: "the only user changes its key in place", asker: sharer("holder", "new", "app=x", 443)},
		{name: "other namespace", asker: Service{Key: "other/x", Namespace: "other", SharingKey: "k", Ports: []Port{{"TCP", 81}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := with(openPool(t, "a", "10.0.0.0/24"))
			if _, err := a.Assign(holder, addrs("10.0.0.1")); err != nil {
				t.Fatal(err)
			}

			_, err := a.Assign(tt.asker, addrs("10.0.0.1"))

			got := ""
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tt.err) || tt.err == "" && got != "" {
				t.Errorf("error %q, want %q", got, tt.err)
			}
		})
	}
}

// TestSharersMeetOnlyBelowTheLowestFree: sharing is allowed, not sought (spec.md section 4.5).
func TestSharersMeetOnlyBelowTheLowestFree(t *testing.T) {
	a := with(openPool(t, "a", "10.0.0.0/24"))
	one, two, three := service("one"), service("two"), service("three")
	for i, s := range []*Service{&one, &two, &three} {
		s.SharingKey = "k"
		s.Ports = []Port{{"TCP", uint16(80 + i)}}
	}
	if _, err := a.Assign(one, addrs("10.0.0.1")); err != nil {
		t.Fatal(err)
	}

	lower, err := a.Allocate(two, v4)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := a.Allocate(three, v4)
	if err != nil {
		t.Fatal(err)
	}

	want := [][]netip.Addr{addrs("10.0.0.0"), addrs("10.0.0.0")}
	if diff := cmp.Diff(want, [][]netip.Addr{lower.Addrs, shared.Addrs}, cmp.Comparer(byAddrType)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExtend(t *testing.T) {
	a := with(openPool(t, "a", "10.0.0.0/24", "2001:db8::/64"), openPool(t, "b", "10.1.0.0/24"))
	if _, err := a.Assign(service("x"), addrs("10.0.0.9")); err != nil {
		t.Fatal(err)
	}
	more, err := a.Extend(service("x"), IPv6)
	if err != nil || more != netip.MustParseAddr("2001:db8::") {
		t.Fatalf("Extend = %v, %v", more, err)
	}
	got, _ := a.Holding("default/x")
	if diff := cmp.Diff(Assignment{Addrs: addrs("10.0.0.9", "2001:db8::"), Pool: "a"}, got, cmp.Comparer(byAddrType)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	if _, err := a.Assign(service("y"), addrs("10.1.0.9")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Extend(service("y"), IPv6); err == nil || err.Error() != "no available IPs in pool b: it has no IPv6 addresses" {
		t.Errorf("Extend from a pool without the family: %v", err)
	}
}
