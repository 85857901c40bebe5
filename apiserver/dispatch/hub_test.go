package dispatch

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func expect(t *testing.T, u *ingotv1.Update, full bool, want string) {
	t.Helper()
	if got := names(u); got != want || u.GetFullBegin() != full || u.GetFullEnd() != full {
		t.Fatalf("update (full %t to %t):\n got: %s\nwant: %s", u.GetFullBegin(), u.GetFullEnd(), got, want)
	}
}

func (c *centre) create(s *corev1.Service) {
	c.t.Helper()
	if _, err := c.client.DiscoveryV1().EndpointSlices(s.Namespace).Create(c.t.Context(), slice(s.Name), metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.client.CoreV1().Services(s.Namespace).Create(c.t.Context(), s, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *centre) delete(name string) {
	c.t.Helper()
	if err := c.client.CoreV1().Services("default").Delete(c.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// messages are those of the events written so far, with their sources.
func (c *centre) messages() []string {
	c.t.Helper()
	list, err := c.client.CoreV1().Events("default").List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, e := range list.Items {
		all = append(all, strings.Join([]string{e.Type, e.Reason, e.InvolvedObject.Name, e.Source.Component, e.Source.Host, e.Message}, " | "))
	}
	return all
}

func TestServiceReachesTheNodeAndComesBackAsAnEvent(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	w := p.welcome()
	for !w.GetLeading() {
		w = p.welcome()
	}
	if w.GetReplica() != "apiserver-0" || w.GetLineage() != "ours" || w.GetEpoch() != 1 || w.GetHeartbeatIntervalMs() != 250 || w.GetHeartbeatValidityMs() != 750 {
		t.Errorf("welcome %v", w)
	}
	u := p.update(routing)
	expect(t, u, true, "+bgp-session/tor")
	p.ack(applied(u))

	c.create(service("web", "10.0.0.1"))
	u = p.update(routing)
	expect(t, u, false, "+bgp-route/10.0.0.1/32")
	if u.GetLineage() != "ours" || u.GetEpoch() != 1 || u.GetRevision() != 1 {
		t.Errorf("stamped %q, epoch %d, revision %d", u.GetLineage(), u.GetEpoch(), u.GetRevision())
	}
	p.ack(applied(u))

	eventually(t, "an event", func() bool { return len(c.messages()) > 0 })
	want := []string{`Normal | nodeAssigned | web | metallb-speaker | node1 | announcing from node "node1" with protocol "bgp"`}
	if diff := cmp.Diff(want, c.messages()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReconnectSendsNothingThatIsHeldAndSaysNothingAgain(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), service("web", "10.0.0.1"), slice("web"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	u := p.update(routing)
	expect(t, u, true, "+bgp-session/tor +bgp-route/10.0.0.1/32")
	p.ack(applied(u))
	eventually(t, "an event", func() bool { return len(c.messages()) == 1 })
	p.cancel()

	again := c.connect(hello("node1", heldOf(u)...))
	again.welcomeLeading()
	u = again.update(routing)
	expect(t, u, true, "=bgp-route/10.0.0.1/32 =bgp-session/tor")
	again.ack(applied(u))
	again.obey()
	if got := c.messages(); len(got) != 1 {
		t.Errorf("events %v, want the first only", got)
	}
}

// welcomeLeading reads welcomes until the replica leads.
func (p *peer) welcomeLeading() *ingotv1.Welcome {
	p.t.Helper()
	for {
		if w := p.welcome(); w.GetLeading() {
			return w
		}
	}
}

func TestRemovalWhileAwayIsExplained(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), service("web", "10.0.0.1"), slice("web"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	u := p.update(routing)
	p.ack(applied(u))
	held := append(heldOf(u), &ingotv1.HeldItem{Lane: routing, Id: "bgp-route/10.9.9.9/32", Digest: "x", Status: ingotv1.ItemResult_STATUS_APPLIED})
	p.cancel()
	c.delete("web")
	eventually(t, "the plan without the Service", func() bool {
		o := c.hub.desired.Load().order("node1", routing)
		return o != nil && len(o.items) == 2
	})

	again := c.connect(hello("node1", held...))
	again.welcomeLeading()
	expect(t, again.update(routing), true, "=bgp-session/tor -bgp-route/10.0.0.1/32 (serviceDeleted: service default/web deleted)")
}

func TestNothingIsSentBeforeEverythingWasRead(t *testing.T) {
	t.Parallel()
	store := newMemory(configuration())
	store.fail = errors.New("etcd is away")
	c := newCentre(t, store, nodeNamed("node1"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	p.silence()
	if err := c.hub.Ready(); err == nil {
		t.Error("ready without a configuration")
	}

	store.set(func(m *memory) { m.fail = nil })
	expect(t, p.update(routing), true, "+bgp-session/tor")
	if err := c.hub.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestOwnerIsStoredBeforeItIsSent(t *testing.T) {
	t.Parallel()
	store := newMemory(configuration())
	store.failSave = errors.New("etcd is away")
	c := newCentre(t, store, nodeNamed("node1"), service("web", "10.0.1.1"), slice("web"), service("dns", "10.0.0.1"), slice("dns"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	u := p.update(routing)
	expect(t, u, true, "+bgp-session/tor +bgp-route/10.0.0.1/32")
	p.ack(applied(u))
	p.silence() // nothing of layer 2

	store.set(func(m *memory) { m.failSave = nil })
	u = p.update(layer2Lane)
	expect(t, u, true, "+layer2/10.0.1.1")
	store.set(func(m *memory) {
		d := m.decisions[netip.MustParseAddr("10.0.1.1")]
		if len(m.decisions) != 1 || d.Owner != "node1" || d.Term != 1 || d.SinceMs == 0 || d.Reason == "" {
			t.Errorf("stored %+v, want node1 with term 1 since now, and why", m.decisions)
		}
	})
	p.ack(applied(u))
	eventually(t, "events", func() bool { return len(c.messages()) == 2 })
}

func TestOwnerThatWentOnAnsweringIsNotToldToLetGo(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), nodeNamed("node2"), service("web", "10.0.1.1"), slice("web"))
	address := netip.MustParseAddr("10.0.1.1")
	decided := func() (d plan.Decision) {
		c.store.set(func(m *memory) { d = m.decisions[address] })
		return d
	}
	owner, other := c.connect(hello("node1")), c.connect(hello("node2"))
	owner.welcomeLeading()
	other.welcomeLeading()
	eventually(t, "a decision", func() bool { return decided().Owner != "" })
	if decided().Owner == "node2" {
		owner, other = other, owner
	}
	owned := owner.update(layer2Lane)
	expect(t, owned, true, "+layer2/10.0.1.1")
	owner.ack(applied(owned))
	other.ack(applied(other.update(layer2Lane)))

	// It is not heard for so long that another is told to own the address, which has to wait.
	owner.cancel()
	u, _ := other.given("10.0.1.1", ingotv1.Layer2Address_ROLE_OWNER)
	expect(t, u, false, "+layer2/10.0.1.1")
	waits := applied(u)
	waits.Results[0].Status = ingotv1.ItemResult_STATUS_PENDING
	other.ack(waits)
	eventually(t, "it is known to wait", func() bool {
		c.hub.nodes.mu.Lock()
		defer c.hub.nodes.mu.Unlock()
		return c.hub.nodes.byName[other.node].waits[address]
	})

	again := c.connect(hello(owner.node, heldOf(owned)...))
	again.welcomeLeading()
	expect(t, again.update(layer2Lane), true, "+layer2/10.0.1.1")
	u, l2 := other.given("10.0.1.1", ingotv1.Layer2Address_ROLE_STANDBY)
	expect(t, u, false, "+layer2/10.0.1.1")
	if l2.GetOwner() != owner.node {
		t.Errorf("told %v, want it to stand by for %s", l2, owner.node)
	}
	if d := decided(); d.Owner != owner.node || d.Term != 3 {
		t.Errorf("decision %+v, want the first owner with term 3", d)
	}
}

func TestForeignSpeakerIsAskedAgainOnlyAfterAdoption(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	h := hello("node1")
	h.Lineage = "theirs"
	p := c.connect(h)
	p.welcomeLeading()
	foreign := func(u *ingotv1.Update) {
		ack := refused(u, ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE)
		ack.Lineage = "theirs"
		p.ack(ack)
	}
	foreign(p.next().GetUpdate())
	foreign(p.next().GetUpdate())
	eventually(t, "the refusals", func() bool { return len(c.hub.Nodes()[0].Refusals) == 2 })
	c.create(service("web", "10.0.0.1"))
	c.awaitPlan("node1", "bgp-route/10.0.0.1/32")
	p.silence()

	superseded, err := c.hub.Adopt(t.Context(), []string{"elder", "ours"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"elder", "theirs"}, superseded); diff != "" {
		t.Errorf("superseded (-want +got):\n%s", diff)
	}
	u := p.update(routing)
	expect(t, u, true, "+bgp-session/tor +bgp-route/10.0.0.1/32")
	if diff := cmp.Diff([]string{"elder", "theirs"}, u.GetSupersedes()); diff != "" || u.GetAdoption() != 1 {
		t.Errorf("adoption %d, supersedes (-want +got):\n%s", u.GetAdoption(), diff)
	}
	p.ack(applied(u))
	eventually(t, "obedience", func() bool { return len(c.hub.Nodes()[0].Refusals) == 0 })
}

func TestHeldBackFullStateWaitsForTheWord(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	p.ack(refused(p.update(routing), ingotv1.Refusal_REFUSAL_HELD_BACK))
	eventually(t, "the refusal", func() bool { return c.hub.Nodes()[0].Refusals[routing].Message == "because" })
	c.create(service("web", "10.0.0.1"))
	c.awaitPlan("node1", "bgp-route/10.0.0.1/32")

	if _, err := c.hub.Adopt(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	u := p.update(routing)
	for u.GetAdoption() == 0 { // asked once more, because the plan is another and some seconds have passed
		p.ack(refused(u, ingotv1.Refusal_REFUSAL_HELD_BACK))
		u = p.update(routing)
	}
	expect(t, u, true, "+bgp-session/tor +bgp-route/10.0.0.1/32")
	if u.GetAdoption() != 1 {
		t.Errorf("adoption %d, want 1", u.GetAdoption())
	}
}

func TestSecondStreamOfANodeSupersedesTheFirst(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), nodeNamed("node2"))
	first, other := c.connect(hello("node1")), c.connect(hello("node2"))
	first.welcomeLeading()
	other.welcomeLeading()
	newer := hello("node1")
	newer.Instance = "another"
	second := c.connect(newer)

	if err := first.end(); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), `"node1"`) {
		t.Errorf("the first stream ended with %v", err)
	}
	second.welcomeLeading()
	expect(t, second.update(routing), true, "+bgp-session/tor")
	expect(t, other.update(routing), true, "+bgp-session/tor")
}

func TestLostLeadershipSilencesAndTheNextBeginsAnew(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	p.obey()

	c.store.set(func(m *memory) { close(m.done) })
	if w := p.deposed(); w.GetEpoch() != 0 {
		t.Fatalf("welcome %v after the leadership was lost", w)
	}
	c.create(service("web", "10.0.0.1"))
	c.awaitPlan("node1", "bgp-route/10.0.0.1/32")
	p.silence()

	c.store.may <- struct{}{}
	if w := p.welcomeLeading(); w.GetEpoch() != 2 {
		t.Errorf("epoch %d, want 2", w.GetEpoch())
	}
	u := p.update(routing)
	expect(t, u, true, "+bgp-route/10.0.0.1/32 =bgp-session/tor")
	if u.GetEpoch() != 2 {
		t.Errorf("update of epoch %d, want 2", u.GetEpoch())
	}
}

func TestFollowerCanExplainWhatWasDeletedBeforeItLed(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), service("web", "10.0.0.1"), slice("web"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	u := p.update(routing)
	p.ack(applied(u))
	c.store.set(func(m *memory) { close(m.done) })
	p.deposed()
	p.cancel()

	c.delete("web")
	eventually(t, "the follower's reason", func() bool {
		_, ok := c.hub.engine.removed.reason("node1", "bgp-route/10.0.0.1/32")
		return ok
	})
	c.store.may <- struct{}{}

	again := c.connect(hello("node1", heldOf(u)...))
	again.welcomeLeading()
	expect(t, again.update(routing), true, "=bgp-session/tor -bgp-route/10.0.0.1/32 (serviceDeleted: service default/web deleted)")
}

func TestFencedLeaderResigns(t *testing.T) {
	t.Parallel()
	store := newMemory(configuration())
	store.failSave = errors.New("etcd is away")
	c := newCentre(t, store, nodeNamed("node1"), service("web", "10.0.1.1"), slice("web"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	store.set(func(m *memory) { m.failSave = ErrNotLeader })
	p.deposed()
	p.silence()
}

func TestCallersWithoutTheRightTokenAreToldWhy(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	good := c.connect(hello("node1"))
	good.welcomeLeading()
	for name, test := range map[string]struct {
		token string
		hello *ingotv1.Hello
		code  codes.Code
		words []string
	}{
		"no token":     {"", hello("node1"), codes.Unauthenticated, []string{"no bearer token"}},
		"expired":      {"stale", hello("node1"), codes.Unauthenticated, []string{"rejected by TokenReview", "expired"}},
		"another node": {"token of node2", hello("node1"), codes.PermissionDenied, []string{`"node1"`, `"node2"`}},
		"no instance":  {"token of node2", &ingotv1.Hello{Node: "node2"}, codes.InvalidArgument, []string{"instance"}},
		"bad lane": {"token of node2", hello("node2", &ingotv1.HeldItem{Id: "x"}), codes.InvalidArgument,
			[]string{`"x"`, "LANE_UNSPECIFIED"}},
	} {
		err := c.dial(test.token, test.hello).end()
		if status.Code(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		for _, words := range test.words {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %q does not say %q", name, err, words)
			}
		}
	}
	good.update(routing)

	answer, err := grpc_health_v1.NewHealthClient(c.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "ingot.v1.Dispatch"})
	if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health without a token: %v, %v", answer, err)
	}
}

func TestShutdownDrainsFirst(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	p.update(routing)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}

	drained := false
	for {
		select {
		case m := <-p.in:
			drained = drained || m.GetDrain() != nil
			continue
		case err := <-p.failed:
			if status.Code(err) != codes.Unavailable {
				t.Errorf("ended with %v", err)
			}
		}
		break
	}
	for len(p.in) > 0 {
		drained = drained || (<-p.in).GetDrain() != nil
	}
	if !drained {
		t.Error("the stream ended without a drain")
	}
}

func TestReportsAreKeptAlsoWhenTheStreamIsGone(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	report := func(r *ingotv1.Report) {
		p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: r}})
	}
	report(&ingotv1.Report{Full: true, Sessions: []*ingotv1.SessionReport{{Peer: "tor", State: "Connect"}, {Peer: "old", State: "Idle"}}, Links: []*ingotv1.LinkReport{{Name: "eth0"}}})
	report(&ingotv1.Report{Full: true, Sessions: []*ingotv1.SessionReport{{Peer: "tor", State: "OpenSent"}}, Layer2: []*ingotv1.Layer2Report{{Address: "10.0.1.1"}}})
	report(&ingotv1.Report{Sessions: []*ingotv1.SessionReport{{Peer: "tor", State: "Established"}}})
	state := func() NodeState {
		if all := c.hub.Nodes(); len(all) == 1 {
			return all[0]
		}
		return NodeState{}
	}
	eventually(t, "the session", func() bool {
		s := state()
		return s.Connected && len(s.Sessions) == 1 && s.Sessions[0].GetState() == "Established" && len(s.Layer2) == 1 && len(s.Links) == 0
	})
	p.cancel()
	eventually(t, "the end of the stream", func() bool { return !state().Connected })
	if s := state(); len(s.Sessions) != 1 || s.Observed.IsZero() || s.Since.Before(s.Observed) {
		t.Errorf("after the stream: %+v", s)
	}
}

func TestMetricsTellTheState(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"))
	p := c.connect(hello("node1"))
	p.welcomeLeading()
	u := p.update(routing)
	gathered := func() map[string]float64 {
		families, err := c.hub.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					if l.GetName() == "lane" {
						name += "/" + l.GetValue()
					}
				}
				all[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return all
	}
	got := gathered()
	for name, want := range map[string]float64{
		"ingot_dispatch_connected_speakers": 1, "ingot_dispatch_leader_epoch": 1, "ingot_dispatch_items/routing": 2,
		"ingot_dispatch_resyncs_total/routing": 1,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
	if got["ingot_dispatch_unacked_age_seconds"] <= 0 || got["grpc_server_msg_sent_total"] == 0 {
		t.Errorf("unacked age %v, messages %v", got["ingot_dispatch_unacked_age_seconds"], got["grpc_server_msg_sent_total"])
	}
	ack := applied(u)
	ack.Results[0].Status = ingotv1.ItemResult_STATUS_REJECTED
	p.ack(ack)
	eventually(t, "the rejected item", func() bool { return gathered()["ingot_dispatch_rejected_items_total/routing"] == 1 })
}

func TestHubNeedsItsParts(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"nothing":   {},
		"no store":  {Replica: "a", Namespace: "b", Client: nil},
		"short key": {Replica: "a", DigestKey: []byte("short")},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: a hub was made", name)
		}
	}
}

// TestOnlySpeakersThatKnowTheGuardGetIt: others would report that they cannot do it.
func TestOnlySpeakersThatKnowTheGuardGetIt(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), nodeNamed("node2"), service("web", "10.0.0.1"), slice("web"))
	knows := hello("node1")
	knows.Features = []string{"bgp_session", "bgp_route", "layer2_address", "bgp_guard"}
	p := c.connect(knows)
	p.welcomeLeading()
	expect(t, p.update(routing), true, "+bgp-session/tor +bgp-guard +bgp-route/10.0.0.1/32")
	old := c.connect(hello("node2"))
	old.welcomeLeading()
	expect(t, old.update(routing), true, "+bgp-session/tor +bgp-route/10.0.0.1/32")
}
