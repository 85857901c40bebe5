package feed

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestBGPSessionsOfANode(t *testing.T) {
	since, lost := time.Unix(1000, 0), time.Unix(2000, 0)
	report := &ingotv1.SessionReport{Peer: "tor1", Address: "2001:db8::1", Vrf: "red", State: "Established", SinceMs: since.UnixMilli(), Port: 179,
		LastError: "cease: BFD down (code 6, subcode 10)", LastErrorCode: 6, LastErrorSubcode: 10, LastErrorReceived: true, LastErrorMs: since.UnixMilli(),
		Families: []ingotv1.Family{ingotv1.Family_FAMILY_IPV6_UNICAST}, HoldTimeMs: 9000, AdvertisedIpv6: 3}
	v := view{node: "node1", heard: true, state: dispatch.NodeState{Connected: true, Reported: true, Since: lost,
		Sessions: []*ingotv1.SessionReport{report}, BFD: []*ingotv1.BfdReport{{Peer: "tor1", State: "AdminDown"}}}}
	one := func(v view) *metallb.BGPSessionState {
		t.Helper()
		all := bgpSessions(v)
		if len(all) != 1 {
			t.Fatalf("%d states", len(all))
		}
		return all[0].(*metallb.BGPSessionState)
	}
	got := one(v)
	at := metav1.NewTime(since)
	want := metallb.BGPSessionStateStatus{BGPStatus: "Established", BFDStatus: "shutdown", Node: "node1", Peer: "2001-0db8-0000-0000-0000-0000-0000-0001",
		VRF: "red", BGPPeer: "tor1", Since: &at, PeerAddress: "2001:db8::1", PeerPort: 179, HoldTime: &metav1.Duration{Duration: 9 * time.Second},
		Families: []string{"ipv6-unicast"}, PrefixesSent: metallb.BGPPrefixes{IPv6: 3},
		LastError: &metallb.BGPSessionError{Message: report.LastError, Code: 6, Subcode: 10, SentBy: "Peer", Time: &at}}
	if diff := cmp.Diff(want, got.Status); diff != "" || !got.CreationTimestamp.Time.Equal(since) {
		t.Errorf("as of %s (-want +got):\n%s", got.CreationTimestamp, diff)
	}
	if got.Labels["frrk8s.metallb.io/vrf"] != "red" || got.Labels["metallb.io/bgp-peer"] != "tor1" {
		t.Errorf("labels %v", got.Labels)
	}
	name := got.Name
	v.state.Connected = false
	if got = one(v); got.Name != name || got.Status.BGPStatus != "Unknown" || got.Status.BFDStatus != "Unknown" || !got.CreationTimestamp.Time.Equal(lost) || got.Status.HoldTime == nil {
		t.Errorf("of a node that is away: %+v", got)
	}
	v = view{node: "node1", started: lost, planned: []*ingotv1.BgpSession{{Peer: "tor1", Interface: "eth1"}}}
	if got = one(v); got.Name != name || got.Status.BGPStatus != "Unknown" || got.Status.Peer != "eth1" || !got.CreationTimestamp.Time.Equal(lost) {
		t.Errorf("of a node that was never heard: %+v", got)
	}
	v.heard, v.state = true, dispatch.NodeState{Connected: true, Reported: true, Rejected: map[string]string{"bgp-session/tor1": "no such device"}}
	if got = one(v); got.Status.BGPStatus != "Idle" || got.Status.LastError == nil || !strings.Contains(got.Status.LastError.Message, "no such device") {
		t.Errorf("of a session that the node refuses: %+v", got)
	}
}

func TestServicesThatANodeAnnounces(t *testing.T) {
	now := time.Unix(1000, 0)
	set := live.NewSet(serviceBGPStatuses, "metallb-system", live.NewClock(func() time.Time { return now }))
	s := newServices(set)
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	v := view{node: "node1", heard: true, state: dispatch.NodeState{Connected: true, Reported: true}}
	get := func() string {
		o, ok := set.Object(serviceBGPName("node1", web))
		if !ok {
			return "none"
		}
		st := o.(*metallb.ServiceBGPStatus)
		return st.Status.State + " " + strings.Join(st.Status.Peers, ",") + " " + st.CreationTimestamp.UTC().Format(time.TimeOnly)
	}
	step := func(what, want string, all bool, changed ...dispatch.Announcement) {
		t.Helper()
		s.update(v, changed, all, now)
		if got := get(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		now = now.Add(time.Minute)
	}
	step("announced", "Announced tor1 00:16:40", true, dispatch.Announcement{Service: web, Peers: []string{"tor1"}})
	step("to another peer, too", "Announced tor1,tor2 00:16:40", false, dispatch.Announcement{Service: web, Peers: []string{"tor1", "tor2"}})
	v.state.Connected, v.state.Since = false, time.Unix(1200, 0)
	step("away", "Unknown tor1,tor2 00:20:00", false)
	v.state.Connected = true
	step("back", "Announced tor1,tor2 00:19:40", false)
	step("withdrawn", "none", false, dispatch.Announcement{Service: web})
	step("again", "Announced tor1 00:21:40", false, dispatch.Announcement{Service: web, Peers: []string{"tor1"}})
	s.forget("node1")
	if got := get(); got != "none" {
		t.Errorf("of a node that is no more: %q", got)
	}
}
