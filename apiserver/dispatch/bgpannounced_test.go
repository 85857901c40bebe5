package dispatch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func announcedRoute(prefix, digest, service string, peers ...string) *ingotv1.Item {
	return &ingotv1.Item{Id: "bgp-route/" + prefix, Digest: digest, Content: &ingotv1.Item_BgpRoute{BgpRoute: &ingotv1.BgpRoute{
		Prefix: prefix, Advertisements: []*ingotv1.BgpAdvertisement{{Peers: peers}}, Services: []*ingotv1.ServiceRef{{Namespace: "default", Name: service}}}}}
}

func upSession(peer string, families ...ingotv1.Family) *ingotv1.SessionReport {
	return &ingotv1.SessionReport{Peer: peer, State: "Established", Families: families}
}

// TestAnnouncedIsWhatIsAcknowledgedAndEstablished follows one node through what can happen to a route.
func TestAnnouncedIsWhatIsAcknowledgedAndEstablished(t *testing.T) {
	const four, six = ingotv1.Family_FAMILY_IPV4_UNICAST, ingotv1.Family_FAMILY_IPV6_UNICAST
	planned := map[string]*ingotv1.Item{}
	look := func(id string) *ingotv1.Item { return planned[id] }
	var b bgpAnnounced
	b.restart([]*ingotv1.HeldItem{
		{Id: "bgp-route/198.51.100.1/32", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Id: "bgp-route/198.51.100.9/32", Digest: "9", Status: ingotv1.ItemResult_STATUS_REJECTED},
		{Id: "bgp-session/tor1", Digest: "s", Status: ingotv1.ItemResult_STATUS_APPLIED},
	}, look)
	expect := func(what string, wantAll bool, want ...string) {
		t.Helper()
		changed, all := b.take()
		var got []string
		for _, a := range changed {
			got = append(got, a.Service.Name+"="+strings.Join(a.Peers, ","))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || all != wantAll {
			t.Errorf("%s: all=%t (-want +got):\n%s", what, all, diff)
		}
	}
	settle := func(item *ingotv1.Item, status ingotv1.ItemResult_Status, reason string, told bool) {
		o := outcome{id: item.GetId(), holding: holding{digest: item.GetDigest(), status: status, reason: reason}}
		if told {
			o.item = item
		}
		b.settle(o, look)
	}
	sessions := func(reports ...*ingotv1.SessionReport) {
		byKey := map[string]*ingotv1.SessionReport{}
		for _, r := range reports {
			byKey[r.GetPeer()] = r
		}
		b.sessions(byKey)
	}
	const applied, pending, rejected = ingotv1.ItemResult_STATUS_APPLIED, ingotv1.ItemResult_STATUS_PENDING, ingotv1.ItemResult_STATUS_REJECTED

	expect("a route of which the content is not known", true)
	sessions(upSession("tor1", four), upSession("tor2", six))
	expect("sessions", true)
	web := announcedRoute("198.51.100.1/32", "1", "web", "tor1", "tor2")
	planned[web.GetId()] = web
	if !b.resolve(look) {
		t.Error("a plan that has the content resolves nothing")
	}
	expect("it is planned; tor2 does not carry IPv4", false, "web=tor1")
	settle(announcedRoute("2001:db8::1/128", "a", "web", "tor1", "tor2"), applied, "", true)
	expect("IPv6", false, "web=tor1,tor2")
	sessions(upSession("tor1", four), upSession("tor2", six))
	expect("the same sessions", false)
	settle(announcedRoute("198.51.100.1/32", "2", "other", "tor1"), rejected, "no", true)
	expect("a refused change leaves what there was", false)
	settle(announcedRoute("198.51.100.1/32", "2", "other", "tor1"), pending, "peer tor2: no session on this node; peer tor1: no address", true)
	expect("another Service, which tor1 lacks", false, "other=", "web=tor2")
	settle(announcedRoute("198.51.100.1/32", "2", "other", "tor1"), applied, "", false)
	expect("it has it now, as another replica ordered", false, "other=tor1")
	sessions(upSession("tor2", six))
	expect("a session lost", true, "other=", "web=tor2")
	b.settle(outcome{id: "bgp-route/2001:db8::1/128", removed: true}, look)
	expect("a route removed", false, "web=")
}

func TestLackingReadsReasonsOfSpeakers(t *testing.T) {
	got := lacking("peer tor1: session refused: x; peer tor-2: the interface towards it has no address")
	if diff := cmp.Diff(map[string]bool{"tor1": true, "tor-2": true}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := lacking("the route names no peer"); got != nil {
		t.Errorf("nobody is named, and %v lack it", got)
	}
}
