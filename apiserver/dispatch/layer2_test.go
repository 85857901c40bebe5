package dispatch

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// segmented is a centre with three nodes on one segment, which announce 10.0.1.100; the owner is the first of them.
func segmented(t *testing.T) (c *centre, peers []*peer) {
	t.Helper()
	c = newCentre(t, newMemory(configuration()), nodeNamed("node1"), nodeNamed("node2"), nodeNamed("node3"), service("web", "10.0.1.100"), slice("web"))
	for n := 1; n <= 3; n++ {
		h := hello("node" + string(rune('0'+n)))
		h.Features = []string{guardFeature, segmentFeature}
		p := c.connect(h)
		p.welcomeLeading()
		p.report(lan(n))
		peers = append(peers, p)
	}
	eventually(t, "a decision", func() bool { return c.decided().Owner != "" })
	owner := c.decided().Owner
	slices.SortStableFunc(peers, func(a, b *peer) int {
		switch {
		case a.node == owner:
			return -1
		case b.node == owner:
			return 1
		}
		return 0
	})
	for _, p := range peers {
		p.obey()
	}
	return c, peers
}

func (c *centre) decided() (d plan.Decision) {
	c.store.set(func(m *memory) { d = m.decisions[netip.MustParseAddr("10.0.1.100")] })
	return d
}

// addressIn is what an update says of an address, nil if nothing.
func addressIn(u *ingotv1.Update, address string) *ingotv1.Layer2Address {
	for _, item := range u.GetUpserts() {
		if item.GetId() == "layer2/"+address {
			return item.GetLayer2Address()
		}
	}
	return nil
}

// about are the events with these reasons, sorted.
func (c *centre) about(reasons ...string) (found []string) {
	for _, m := range c.messages() {
		if slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(m, "| "+r+" |") }) {
			found = append(found, m)
		}
	}
	slices.Sort(found)
	return found
}

// TestAMoveIsOrderedAndSaidOnce: a drained node lets go, and says so; then the next one is told, which stood by; a Service
// hears of it once, whoever leads afterwards, and however often speakers connect.
func TestAMoveIsOrderedAndSaidOnce(t *testing.T) {
	t.Parallel()
	c, peers := segmented(t)
	owner := peers[0]

	if _, err := c.client.CoreV1().Nodes().Update(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: owner.node, Annotations: map[string]string{plan.Drain: "true"}}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	released, said := owner.taken("10.0.1.100")
	eventually(t, "the decision", func() bool { return c.decided().Owner != owner.node })
	next := peers[slices.IndexFunc(peers, func(p *peer) bool { return p.node == c.decided().Owner })]
	why := owner.node + " is being drained (ingot.io/drain)"
	if want := "notOwner: service default/web: 10.0.1.100 is now owned by node " + next.node + ": " + why; said != want {
		t.Errorf("the owner is told %q, want %q", said, want)
	}
	for _, p := range peers[1:] { // nobody takes it before it is let go of
		p.idle(func(u *ingotv1.Update) {
			if addressIn(u, "10.0.1.100").GetRole() == ingotv1.Layer2Address_ROLE_OWNER {
				t.Errorf("%s is told %v before %s has let go", p.node, u, owner.node)
			}
		})
	}
	owner.ack(applied(released))
	u, l2 := next.given("10.0.1.100", ingotv1.Layer2Address_ROLE_OWNER)
	if l2.GetTerm() != 2 {
		t.Errorf("%s is told %v, want to own with term 2", next.node, u)
	}
	next.ack(applied(u))

	assigned := func(node string) string {
		return `Normal | nodeAssigned | web | metallb-speaker | ` + node + ` | announcing from node "` + node + `" with protocol "layer2"`
	}
	want := []string{
		"Normal | OwnerChanged | web | metallb-speaker | " + next.node + " | 10.0.1.100 moved from " + owner.node + " to " + next.node + ": " + why,
		assigned(owner.node), assigned(next.node),
	}
	slices.Sort(want)
	eventually(t, "events", func() bool { return len(c.about("OwnerChanged", "nodeAssigned")) == 3 })
	for _, p := range peers {
		p.obey()
	}

	c.store.set(func(m *memory) { close(m.done) })
	next.deposed()
	c.store.may <- struct{}{}
	next.welcomeLeading()
	next.obey()
	if diff := cmp.Diff(want, c.about("OwnerChanged", "nodeAssigned")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if d := c.decided(); d.Owner != next.node || d.Term != 2 || d.Reason != why || d.SinceMs == 0 {
		t.Errorf("stored %+v", d)
	}
}

// TestWhatANodeTookIsItsOwn: a standby that took the address over while the centre was away keeps it, and the Service hears
// of both.
func TestWhatANodeTookIsItsOwn(t *testing.T) {
	t.Parallel()
	c, peers := segmented(t)
	owner, standby := peers[0], peers[1]

	standby.report(&ingotv1.Report{Layer2: []*ingotv1.Layer2Report{{
		Address: "10.0.1.100", Role: ingotv1.Layer2Address_ROLE_STANDBY, Term: 2, Taken: true, Answering: true, Phase: "Answering",
	}}})

	u, l2 := standby.given("10.0.1.100", ingotv1.Layer2Address_ROLE_OWNER)
	if l2.GetTerm() != 2 {
		t.Errorf("the standby is told %v, want to own with the term that it took", u)
	}
	standby.ack(applied(u))
	if _, l2 = owner.given("10.0.1.100", ingotv1.Layer2Address_ROLE_STANDBY); l2.GetOwner() != standby.node {
		t.Errorf("the owner is told %v, want to stand by for %s", l2, standby.node)
	}
	eventually(t, "events", func() bool { return len(c.about("OwnerChanged")) == 1 && len(c.about("nodeAssigned")) == 2 })
	if d := c.decided(); d.Owner != standby.node || d.Term != 2 {
		t.Errorf("stored %+v", d)
	}
}

// TestALeavingSpeakersAddressesMove: as soon as it says so.
func TestALeavingSpeakersAddressesMove(t *testing.T) {
	t.Parallel()
	c, peers := segmented(t)

	peers[0].report(&ingotv1.Report{Leaving: true})

	u, _ := peers[0].taken("10.0.1.100")
	peers[0].ack(applied(u))
	eventually(t, "another owner", func() bool { return c.decided().Reason == "the speaker of "+peers[0].node+" is stopping" })
}

// TestOlderSpeakersAreNotToldOfSegments: they would report that they cannot do them.
func TestOlderSpeakersAreNotToldOfSegments(t *testing.T) {
	t.Parallel()
	c, peers := segmented(t)
	eventually(t, "an address and a segment are planned", func() bool {
		items := c.hub.Layer2Items(peers[0].node)
		return len(items) == 2 && items["layer2/10.0.1.100"].GetLayer2Address() != nil && items["layer2-segment/eth1"].GetLayer2Segment() != nil
	})

	old := c.connect(hello(peers[0].node))
	old.welcomeLeading()
	if got := names(old.update(layer2Lane)); got != "+layer2/10.0.1.100" {
		t.Errorf("an older speaker is told %s", got)
	}
}

// TestVacanciesAndTakeOversFollowReports: they are facts for the planner, until something else is acknowledged or reported.
func TestVacanciesAndTakeOversFollowReports(t *testing.T) {
	r := newRig()
	s := r.connect("node1", &ingotv1.HeldItem{Lane: layer2Lane, Id: "layer2/10.0.0.1", Digest: "1",
		Status: ingotv1.ItemResult_STATUS_APPLIED, Term: 3, Role: ingotv1.Layer2Address_ROLE_STANDBY})
	addr := netip.MustParseAddr("10.0.0.1")
	report := func(change func(*ingotv1.Layer2Report)) {
		l2 := &ingotv1.Layer2Report{Address: "10.0.0.1", Role: ingotv1.Layer2Address_ROLE_STANDBY, Term: 3}
		change(l2)
		r.observe(s, &ingotv1.Report{Layer2: []*ingotv1.Layer2Report{l2}}, start)
	}
	expect := func(step string, want plan.NodeFacts) {
		t.Helper()
		facts, _ := r.facts(nil, start, nil)
		want.Connected = true
		if diff := cmp.Diff(want, facts["node1"], cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	stands, vacant := map[netip.Addr]bool{addr: true}, map[netip.Addr]bool{addr: true}
	expect("hello", plan.NodeFacts{Stands: stands})

	report(func(l *ingotv1.Layer2Report) { l.VacantSinceMs = 5 })
	expect("vacant", plan.NodeFacts{Stands: stands, Vacant: vacant})
	report(func(*ingotv1.Layer2Report) {})
	expect("answered again", plan.NodeFacts{Stands: stands})

	report(func(l *ingotv1.Layer2Report) { l.Taken, l.Answering, l.Term = true, true, 4 })
	expect("taken", plan.NodeFacts{Stands: stands, Holds: map[netip.Addr]uint64{addr: 4}})
	older := owned("10.0.0.1", ingotv1.Layer2Address_ROLE_STANDBY)
	r.settle(s, []outcome{became(older, ingotv1.ItemResult_STATUS_APPLIED)})
	expect("an older order takes nothing away", plan.NodeFacts{Stands: stands, Holds: map[netip.Addr]uint64{addr: 4}})
	newer := owned("10.0.0.1", ingotv1.Layer2Address_ROLE_STANDBY)
	newer.GetLayer2Address().Term = 5
	r.settle(s, []outcome{became(newer, ingotv1.ItemResult_STATUS_APPLIED)})
	expect("a newer one does", plan.NodeFacts{Stands: stands})

	report(func(l *ingotv1.Layer2Report) { l.VacantSinceMs = 5 })
	r.settle(s, []outcome{became(owned("10.0.0.1", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_APPLIED)})
	expect("owns", plan.NodeFacts{Holds: map[netip.Addr]uint64{addr: 3}})
	r.settle(s, []outcome{{id: "layer2/10.0.0.1", removed: true}})
	expect("nothing", plan.NodeFacts{})
}
