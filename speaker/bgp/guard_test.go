package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func guardItem(routes int, ranges ...string) *ingotv1.Item {
	return &ingotv1.Item{Id: "bgp-guard", Digest: "d", Content: &ingotv1.Item_BgpGuard{BgpGuard: &ingotv1.BgpGuard{Ranges: ranges, Routes: uint32(routes)}}}
}

func TestGuardCovers(t *testing.T) {
	g, err := parseGuard(guardItem(1, "10.1.0.0/16", "10.1.2.0/24", "2001:db8::/64", "10.3.0.0/24", "192.0.2.7/32").GetBgpGuard())
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]bool{
		"10.1.0.0/16": true, "10.1.2.3/32": true, "10.1.255.255/32": true, "10.0.0.0/8": false, "10.1.0.0/15": false, "10.2.0.0/32": false, "9.9.9.9/32": false,
		"10.3.0.0/24": true, "10.3.0.0/23": false, "192.0.2.7/32": true, "192.0.2.8/32": false, "255.255.255.255/32": false,
		"2001:db8::/64": true, "2001:db8::1/128": true, "2001:db8::/63": false, "::/0": false, "0.0.0.0/0": false,
	} {
		if got := g.covers(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("covers(%s) = %v", prefix, got)
		}
	}
	if !(*guard)(nil).covers(netip.MustParsePrefix("0.0.0.0/0")) {
		t.Error("no guard refuses something")
	}
	for _, bad := range []string{"10.0.0.1/24", "10.0.0.0", ""} {
		if _, err := parseGuard(guardItem(1, bad).GetBgpGuard()); err == nil {
			t.Errorf("range %q is accepted", bad)
		}
	}
}

func TestTheGuardHasTheLastWord(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	inside, outside := routeItem("198.51.100.1/32", to("tor1")), routeItem("203.0.113.1/32", to("tor1"))
	results := s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), guardItem(2, "198.51.100.0/24"), outside, inside}, false)

	want := []string{"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=false"}
	if diff := cmp.Diff(want, wires.take()["tor1"]); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	refused := &ingotv1.ItemResult{Id: outside.Id, Digest: "d", Status: ingotv1.ItemResult_STATUS_REJECTED,
		Reason: "peer tor1: the prefix guard refuses 203.0.113.1/32: it is outside of every range that the plan declares"}
	if diff := cmp.Diff(refused, results[2], protocmp.Transform()); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}

	// A wider guard lets it pass, a narrower one takes it back, and so does none at all, and one of an older centre.
	for _, step := range []struct {
		guard []*ingotv1.Item
		want  []string
	}{
		{[]*ingotv1.Item{guardItem(2, "198.51.100.0/24", "203.0.113.0/24")}, []string{"add 203.0.113.1/32 via 0.0.0.0 communities []"}},
		{[]*ingotv1.Item{guardItem(2, "198.51.100.0/24")}, []string{"remove 203.0.113.1/32"}},
		{nil, []string{"add 203.0.113.1/32 via 0.0.0.0 communities []"}},
	} {
		results = s.Apply(t.Context(), append([]*ingotv1.Item{sessionItem("tor1"), outside, inside}, step.guard...), false)
		if diff := cmp.Diff(step.want, wires.take()["tor1"]); diff != "" {
			t.Errorf("with %v (-want +got):\n%s", step.guard, diff)
		}
	}
	if diff := cmp.Diff(applied(outside), results[1:2], protocmp.Transform()); diff != "" {
		t.Errorf("without a guard (-want +got):\n%s", diff)
	}
}

func TestTheGuardCountsRoutesOfEachPeer(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	routes := func(from, to int, peers ...string) (items []*ingotv1.Item) {
		for i := from; i < to; i++ {
			items = append(items, routeItem(fmt.Sprintf("198.51.100.%d/32", i), &ingotv1.BgpAdvertisement{Peers: peers}))
		}
		return items
	}
	sessions := []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2")}
	s.Apply(t.Context(), slices.Concat(sessions, []*ingotv1.Item{guardItem(2, "198.51.100.0/24")}, routes(5, 7, "tor1"), routes(7, 8, "tor2")), false)
	wires.take()

	// Two more, though the count stays: those that are there stay, and nothing comes. tor2 has room for one.
	results := s.Apply(t.Context(), slices.Concat(sessions, []*ingotv1.Item{guardItem(2, "198.51.100.0/24")}, routes(1, 3, "tor1", "tor2"), routes(5, 7, "tor1"), routes(7, 8, "tor2")), false)
	if diff := cmp.Diff(map[string][]string{"tor2": {"add 198.51.100.1/32 via 0.0.0.0 communities []"}}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	const full = "the prefix guard allows 2 routes to a peer, as many as the plan has"
	if got := results[3]; got.GetStatus() != ingotv1.ItemResult_STATUS_REJECTED || got.GetReason() != "peer tor1: "+full {
		t.Errorf("the first route too many: %v", got)
	}
	if got := results[4]; got.GetReason() != "peer tor1: "+full+"; peer tor2: "+full {
		t.Errorf("the second: %v", got)
	}
	// One goes: another takes its place.
	s.Apply(t.Context(), slices.Concat(sessions, []*ingotv1.Item{guardItem(2, "198.51.100.0/24")}, routes(1, 3, "tor1"), routes(6, 7, "tor1")), false)
	want := map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities []", "remove 198.51.100.5/32"},
		"tor2": {"remove 198.51.100.1/32", "remove 198.51.100.7/32"}}
	if diff := cmp.Diff(want, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	// A smaller count takes routes back.
	s.Apply(t.Context(), slices.Concat(sessions, []*ingotv1.Item{guardItem(1, "198.51.100.0/24")}, routes(1, 3, "tor1"), routes(6, 7, "tor1")), false)
	if diff := cmp.Diff(map[string][]string{"tor1": {"remove 198.51.100.6/32"}}, wires.take()); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}

// TestAGuardThatContradictsThePlanIsRefused: routes that are still wanted do not suffer for it.
func TestAGuardThatContradictsThePlanIsRefused(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	items := []*ingotv1.Item{sessionItem("tor1"), guardItem(20, "198.51.100.0/24")}
	for i := range 20 {
		items = append(items, routeItem(fmt.Sprintf("198.51.100.%d/32", i), to("tor1")))
	}
	s.Apply(t.Context(), items, false)
	wires.take()

	for _, bad := range []*ingotv1.Item{guardItem(20, "203.0.113.0/24"), guardItem(9, "198.51.100.0/24"), guardItem(20, "198.51.100.1/24"), guardItem(0)} {
		items[1] = bad
		results := s.Apply(t.Context(), items, false)
		if got := results[1]; got.GetStatus() != ingotv1.ItemResult_STATUS_REJECTED || got.GetReason() == "" {
			t.Errorf("%v: %v", bad, got)
		}
		if diff := cmp.Diff(map[string][]string{}, wires.take()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", bad, diff)
		}
	}
	// With the routes it may go.
	results := s.Apply(t.Context(), []*ingotv1.Item{items[0], guardItem(1, "198.51.100.0/28"), items[2]}, false)
	if diff := cmp.Diff(applied(items[0], guardItem(0), items[2]), results, protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got := wires.take()["tor1"]; len(got) != 19 || !strings.HasPrefix(got[0], "remove") {
		t.Errorf("wire: %v", got)
	}
}

// TestARestoredGuardHolds: the first set after a start is judged like any other.
func TestARestoredGuardHolds(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	s.Apply(t.Context(), []*ingotv1.Item{guardItem(1, "198.51.100.0/24"), sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1")), routeItem("203.0.113.1/32", to("tor1"))}, true)
	want := []string{"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=false"}
	if diff := cmp.Diff(want, wires.take()["tor1"]); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
}
