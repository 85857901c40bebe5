package feed

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// lan is a few nodes and what they do, as the feed hears it.
type lan struct {
	t         *testing.T
	set       *live.Set
	services  *layer2Services
	decisions map[netip.Addr]dispatch.Layer2Decision
	nodes     map[string]*view
	items     map[string]map[string]*ingotv1.Item
	whyNot    map[string]string
	plan      uint64
}

func newLAN(t *testing.T, nodes ...string) *lan {
	l := &lan{t: t, set: live.NewSet(serviceL2Statuses, "metallb-system", live.NewClock(time.Now)), decisions: map[netip.Addr]dispatch.Layer2Decision{},
		nodes: map[string]*view{}, items: map[string]map[string]*ingotv1.Item{}}
	l.services = newLayer2Services(l.set, l)
	for _, name := range nodes {
		l.nodes[name] = &view{node: name, heard: true, state: dispatch.NodeState{Connected: true, Reported: true, Since: time.Unix(900, 0)}}
		l.items[name] = map[string]*ingotv1.Item{}
	}
	return l
}

func (l *lan) Layer2Decision(a netip.Addr) (dispatch.Layer2Decision, bool) {
	d, ok := l.decisions[a]
	return d, ok
}

func (l *lan) WhyNot(a netip.Addr, most int) map[string]string { return l.whyNot }

func (l *lan) Layer2Plan() uint64 { return l.plan }

// order tells a node what to do about an address, for Services of namespace default.
func (l *lan) order(node string, order *ingotv1.Layer2Address, services ...string) {
	for _, name := range services {
		order.Services = append(order.Services, &ingotv1.ServiceRef{Namespace: "default", Name: name})
	}
	l.items[node]["layer2/"+order.GetAddress()] = &ingotv1.Item{Content: &ingotv1.Item_Layer2Address{Layer2Address: order}}
}

// report has a node say what it does, all of it.
func (l *lan) report(node string, reports ...*ingotv1.Layer2Report) {
	l.nodes[node].state.Layer2 = reports
	l.services.update(*l.nodes[node], l.items[node])
}

func (l *lan) expect(what string, want ...string) {
	l.t.Helper()
	got := []string{}
	for _, name := range l.set.Names() {
		o, _ := l.set.Object(name)
		s := o.(*metallb.ServiceL2Status)
		text := fmt.Sprintf("%s %s %s", s.Status.ServiceName, s.Status.Node, s.Status.State)
		for _, a := range s.Status.Addresses {
			text += " " + a.Address
		}
		got = append(got, text)
	}
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func answering(address string, term uint64) *ingotv1.Layer2Report {
	return &ingotv1.Layer2Report{Address: address, Term: term, Answering: true, SinceMs: 1_000_000, Role: ingotv1.Layer2Address_ROLE_OWNER, Phase: "Answering", Interfaces: []string{"eth1"}}
}

func TestAnAnnouncementAsMetalLBHasItAndMore(t *testing.T) {
	l := newLAN(t, "node1")
	l.decisions[netip.MustParseAddr("192.0.2.1")] = dispatch.Layer2Decision{Owner: "node1", Term: 2, Reason: "node2 went away", Standbys: []string{"node3"}}
	l.whyNot = map[string]string{"node2": "is not connected", "node3": "stands by"}
	l.order("node1", &ingotv1.Layer2Address{Address: "192.0.2.1", Interfaces: []string{"eth1", "eth0"}}, "web")
	r := answering("192.0.2.1", 2)
	r.Rival = &ingotv1.Layer2Rival{Interface: "eth1", Mac: "52:54:00:00:00:99", SinceMs: 2_000_000}
	l.report("node1", r)

	o, ok := l.set.Object(l.set.Names()[0])
	if !ok {
		t.Fatal("nothing is served")
	}
	got := o.(*metallb.ServiceL2Status)
	since, conflict := metav1.NewTime(time.Unix(1000, 0)), metav1.NewTime(time.Unix(2000, 0))
	want := metallb.ServiceL2StatusStatus{Node: "node1", ServiceName: "web", ServiceNamespace: "default", State: "Announced", Since: &since,
		Interfaces: []metallb.L2Interface{{Name: "eth0"}, {Name: "eth1"}},
		Addresses: []metallb.L2Address{{Address: "192.0.2.1", Interfaces: []string{"eth1"}, Term: 2, Since: &since, Phase: "Answering",
			Standbys: []string{"node3"}, Reason: "node2 went away", Conflict: &metallb.L2Conflict{MAC: "52:54:00:00:00:99", Interface: "eth1", Since: &conflict},
			Others: []metallb.L2Other{{Node: "node2", Reason: "is not connected"}, {Node: "node3", Reason: "stands by"}}}}}
	if diff := cmp.Diff(want, got.Status); diff != "" || !got.CreationTimestamp.Equal(&since) {
		t.Errorf("as of %s (-want +got):\n%s", got.CreationTimestamp, diff)
	}
	for key, value := range map[string]string{"metallb.io/node": "node1", "metallb.io/service-name": "web", "metallb.io/service-namespace": "default"} {
		if got.Labels[key] != value {
			t.Errorf("labels %v", got.Labels)
		}
	}
	l.whyNot, l.plan = map[string]string{"node2": "is back"}, 2
	l.services.refresh(time.Unix(5000, 0))
	if o, _ = l.set.Object(got.Name); o.(*metallb.ServiceL2Status).Status.Addresses[0].Others[0].Reason != "is back" {
		t.Error("why others do not own it is as it was")
	}
	l.order("node1", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "web")
	l.report("node1", r)
	if o, _ = l.set.Object(got.Name); len(o.(*metallb.ServiceL2Status).Status.Interfaces) != 0 {
		t.Error("interfaces are named though none were ordered")
	}
}

// TestFlappingReasonsAreNoFlood: a node may be among those that do not own an address for every Service.
func TestFlappingReasonsAreNoFlood(t *testing.T) {
	l := newLAN(t, "node1")
	l.decisions[netip.MustParseAddr("192.0.2.1")] = dispatch.Layer2Decision{Owner: "node1", Term: 2}
	l.order("node1", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "web")
	l.report("node1", answering("192.0.2.1", 2))
	name := l.set.Names()[0]
	status := func() (version string, address metallb.L2Address) {
		o, _ := l.set.Object(name)
		return o.GetResourceVersion(), o.(*metallb.ServiceL2Status).Status.Addresses[0]
	}
	now, last, changes := time.Unix(5000, 0), "", -1
	pass := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(look) {
			l.services.refresh(now)
			if version, _ := status(); version != last {
				last, changes = version, changes+1
			}
		}
	}
	for i := range 60 { // plans that change nothing take nothing from the budget
		l.plan = uint64(i + 1)
		pass(time.Second)
	}
	if changes != 0 {
		t.Errorf("%d changes by nothing", changes)
	}
	for i := range 60 {
		l.whyNot, l.plan = map[string]string{"node2": fmt.Sprint("fault ", i)}, l.plan+1
		pass(time.Second)
		if _, a := status(); i == 2 && a.Others == nil {
			t.Error("the first fault is not shown soon")
		}
	}
	if changes < 6 || changes > refreshBurst+6+1 {
		t.Errorf("%d changes in a minute", changes)
	}
	moved := answering("192.0.2.1", 2)
	moved.Phase = "Silent"
	l.report("node1", moved)
	if _, a := status(); a.Phase != "Silent" || a.Others[0].Reason != "fault 59" {
		t.Errorf("what the node does is not shown at once: %+v", a)
	}
	l.whyNot, l.plan = nil, l.plan+1
	pass(refreshPause + look)
	if _, a := status(); len(a.Others) != 0 {
		t.Errorf("the last reasons are not shown in the end: %+v", a.Others)
	}
}

// TestOnlyWhatIsAnsweredForIsAnnounced, whatever was ordered.
func TestOnlyWhatIsAnsweredForIsAnnounced(t *testing.T) {
	l := newLAN(t, "node1", "node2")
	l.order("node1", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "a", "b")
	l.order("node1", &ingotv1.Layer2Address{Address: "2001:db8::1"}, "a")
	l.order("node2", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "a", "b")
	waits := answering("192.0.2.1", 1)
	waits.Answering = false
	l.report("node1", waits)
	l.expect("not answered yet")
	l.report("node1", answering("192.0.2.1", 1), answering("2001:db8::1", 1))
	l.expect("both families, one of them shared", "a node1 Announced 192.0.2.1 2001:db8::1", "b node1 Announced 192.0.2.1")
	l.report("node2", answering("192.0.2.1", 1))
	l.expect("of two, both are shown", "a node1 Announced 192.0.2.1 2001:db8::1", "a node2 Announced 192.0.2.1", "b node1 Announced 192.0.2.1", "b node2 Announced 192.0.2.1")
	l.report("node1", answering("2001:db8::1", 1))
	l.expect("one has stopped", "a node1 Announced 2001:db8::1", "a node2 Announced 192.0.2.1", "b node2 Announced 192.0.2.1")
	l.items["node1"] = nil
	l.report("node1")
	l.services.forget("node2")
	l.expect("withdrawn, and forgotten")
}

// TestOfANodeThatIsAway nothing is known, until another one has its addresses.
func TestOfANodeThatIsAway(t *testing.T) {
	l := newLAN(t, "node1", "node2")
	l.order("node1", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "web")
	l.report("node1", answering("192.0.2.1", 1))
	away := l.nodes["node1"]
	away.state.Connected, away.state.Since = false, time.Unix(5000, 0)
	l.report("node1", answering("192.0.2.1", 1))
	l.expect("away", "web node1 Unknown 192.0.2.1")
	o, _ := l.set.Object(l.set.Names()[0])
	if s := o.(*metallb.ServiceL2Status); !s.CreationTimestamp.Time.Equal(time.Unix(5000, 0)) || !s.Status.Addresses[0].Since.Time.Equal(time.Unix(1000, 0)) {
		t.Errorf("as of %s, %v", s.CreationTimestamp, s.Status.Addresses[0].Since)
	}
	l.items["node1"] = nil // it is told nothing any more
	l.report("node1", answering("192.0.2.1", 1))
	l.order("node2", &ingotv1.Layer2Address{Address: "192.0.2.1"}, "web")
	waits := answering("192.0.2.1", 2)
	waits.Answering = false
	l.report("node2", waits)
	l.expect("another one is to have it", "web node1 Unknown 192.0.2.1")
	l.report("node2", answering("192.0.2.1", 2))
	l.expect("another one has it", "web node2 Announced 192.0.2.1")
	away.state.Connected = true
	l.report("node1", answering("192.0.2.1", 1))
	l.expect("it is back, and both answer", "web node1 Announced 192.0.2.1", "web node2 Announced 192.0.2.1")
}

func TestWhatASpeakerIs(t *testing.T) {
	since := time.Unix(1000, 0)
	v := view{node: "node1", heard: true, replica: "apiserver-1", state: dispatch.NodeState{Connected: true, Since: since, Version: "v1", Instance: "i", BootID: "b",
		Lineage: "l", Epoch: 3, Revision: 4}}
	var before *metallb.SpeakerState
	step := func(what, want string) *metallb.SpeakerState {
		t.Helper()
		before = speakerState(v, before)
		got := before.Status.State
		for _, c := range before.Status.Conditions {
			got += fmt.Sprintf(" %s=%s(%s)", c.Type, c.Status, c.Reason)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		return before
	}
	step("connected", "Starting Connected=True(Starting) Healthy=Unknown(Starting)")
	v.state.Reported = true
	v.state.Standing = &ingotv1.Standing{Lineage: "l", Epoch: 5, Revision: 6, Confirmed: true}
	v.state.Layer2 = []*ingotv1.Layer2Report{answering("192.0.2.1", 1), {Address: "192.0.2.2", Role: ingotv1.Layer2Address_ROLE_OWNER}, {Address: "192.0.2.3", Role: ingotv1.Layer2Address_ROLE_STANDBY}}
	v.state.Links = []*ingotv1.LinkReport{{Name: "eth1", Mac: "52:54:00:00:00:01", Up: true, Enabled: true, Carrier: true, Addresses: []string{"192.0.2.11/24"}, SinceMs: since.UnixMilli()}}
	v.state.Segments = []*ingotv1.SegmentReport{{Interface: "eth1",
		Peers:     []*ingotv1.SegmentPeerReport{{Node: "node2", Answer: ingotv1.Answer_ANSWER_ANSWERS, BfdState: "Up"}},
		Witnesses: []*ingotv1.WitnessReport{{Address: "192.0.2.254", Answer: ingotv1.Answer_ANSWER_SILENT, Source: ingotv1.WitnessReport_SOURCE_NEXT_HOP}}}}
	s := step("reported", "Connected Connected=True(Connected) Healthy=True(NoFaults)")
	at := metav1.NewTime(since)
	want := metallb.SpeakerStateStatus{Node: "node1", State: "Connected", Since: &at, Replica: "apiserver-1", Version: "v1", Instance: "i", BootID: "b",
		Obeys: &metallb.SpeakerOrders{Lineage: "l", Epoch: 5, Revision: 6, Confirmed: true}, Layer2: metallb.SpeakerLayer2{Owned: 1, Pending: 1, Standby: 1},
		Links: []metallb.SpeakerLink{{Name: "eth1", MAC: "52:54:00:00:00:01", Up: true, Enabled: true, Carrier: true, Addresses: []string{"192.0.2.11/24"}, Since: &at}},
		Segments: []metallb.SpeakerSegment{{Interface: "eth1", Peers: []metallb.SegmentPeer{{Node: "node2", Answer: "Answers", BFDStatus: "up"}},
			Witnesses: []metallb.SegmentWitness{{Address: "192.0.2.254", Answer: "Silent", Source: "NextHop"}}}},
		Conditions: s.Status.Conditions}
	if diff := cmp.Diff(want, s.Status); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	v.faults = faultsOf([]segment.Fault{{Interface: "eth1", Reason: segment.SharedMAC, Message: "eth1 has the MAC of node2", Since: time.Unix(2000, 0), Nodes: []string{"node2"}},
		{Interface: "eth1", Reason: segment.WitnessSilent, Message: "192.0.2.254 is silent", Since: time.Unix(3000, 0)}, {Interface: "eth2", Reason: segment.SharedMAC}})
	s = step("faulty", "Connected Connected=True(Connected) Healthy=False(SharedMAC)")
	c := meta.FindStatusCondition(s.Status.Conditions, "Healthy")
	if c.Message != "eth1 has the MAC of node2" || !c.LastTransitionTime.Time.Equal(time.Unix(2000, 0)) {
		t.Errorf("condition %+v", c)
	}
	if got := speakerStates.Cells(s)[4]; got != "SharedMAC,WitnessSilent" {
		t.Errorf("faults are shown as %v", got)
	}
	v.state.Layer2[1].Rival = &ingotv1.Layer2Rival{Interface: "eth1", Mac: "52:54:00:00:00:99", SinceMs: 4_000_000}
	v.state.Layer2[2].Rival = &ingotv1.Layer2Rival{Interface: "eth1", Mac: "52:54:00:00:00:02", Node: "node2"}
	s = step("and a foreign host", "Connected Connected=True(Connected) Healthy=False(SharedMAC)")
	foreign := metav1.NewTime(time.Unix(4000, 0))
	if diff := cmp.Diff([]metallb.SpeakerFault{{Reason: "ForeignOwner", Interface: "eth1", Since: &foreign,
		Message: "another host with the hardware address 52:54:00:00:00:99 uses 192.0.2.2, so that the node does not answer for it"}}, s.Status.Faults[3:]); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	v.state.Standing = &ingotv1.Standing{Lineage: "l", Epoch: 5, Revision: 6, Refusal: ingotv1.Refusal_REFUSAL_HELD_BACK, Message: "would drop 12 of 13"}
	if s = step("refusing", "Connected Connected=True(Connected) Healthy=False(HeldBack)"); len(s.Status.Refusals) != 1 || s.Status.Refusals[0].Message != "would drop 12 of 13" {
		t.Errorf("refusals %+v", s.Status.Refusals)
	}
	v.state.Connected, v.state.Since = false, time.Unix(9000, 0)
	if s = step("gone", "Unknown Connected=False(NotConnected) Healthy=Unknown(NotConnected)"); len(s.Status.Links) != 1 || !s.CreationTimestamp.Time.Equal(time.Unix(9000, 0)) {
		t.Errorf("as of %s: %+v", s.CreationTimestamp, s.Status)
	}
	v = view{node: "node1", started: since}
	if s = speakerState(v, nil); s.Status.State != "Unknown" || s.Status.Obeys != nil || !s.CreationTimestamp.Time.Equal(since) {
		t.Errorf("of a node that was never heard: %+v", s)
	}
	if long := speakerState(view{node: strings.Repeat("x", 64)}, nil); long.Labels["metallb.io/node"] != "" {
		t.Error("a label that does not fit")
	}
}
