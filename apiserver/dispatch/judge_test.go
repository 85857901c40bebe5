package dispatch

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/await"
)

// lan is the full report of node n of three on a segment, which hears all others.
func lan(n int) *ingotv1.Report {
	r := &ingotv1.Report{Full: true, Links: []*ingotv1.LinkReport{{
		Name: "eth1", Mac: fmt.Sprintf("52:54:00:00:00:%02d", n), Up: true, Enabled: true, Carrier: true, Addresses: []string{fmt.Sprintf("10.0.1.%d/24", n)}, SinceMs: 1000,
	}}}
	s := &ingotv1.SegmentReport{Interface: "eth1", Witnesses: []*ingotv1.WitnessReport{{Address: "10.0.1.254", Answer: ingotv1.Answer_ANSWER_ANSWERS, SinceMs: 1000}}}
	for other := 1; other <= 3; other++ {
		if other != n {
			s.Peers = append(s.Peers, &ingotv1.SegmentPeerReport{Node: fmt.Sprintf("node%d", other), Address: fmt.Sprintf("10.0.1.%d", other),
				Answer: ingotv1.Answer_ANSWER_ANSWERS, SinceMs: 1000, Heard: true, BfdState: "Up", BfdSinceMs: 1000})
		}
	}
	r.Segments = append(r.Segments, s)
	return r
}

func (p *peer) report(r *ingotv1.Report) {
	p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: r}})
}

// TestOnlyFactsHaveThePlanMade: the judge and the planner work when something else is the case, not when a counter or a
// time has moved on.
func TestOnlyFactsHaveThePlanMade(t *testing.T) {
	address := func(r *ingotv1.Report) *ingotv1.Layer2Report {
		r.Layer2 = []*ingotv1.Layer2Report{{Address: "10.0.1.100", Role: ingotv1.Layer2Address_ROLE_STANDBY, Phase: "Waiting", SinceMs: 1}}
		return r.Layer2[0]
	}
	for _, test := range []struct {
		name   string
		change func(before, after *ingotv1.Report)
		want   bool
	}{
		{"nothing", func(_, _ *ingotv1.Report) {}, false},
		{"since when a peer answers", func(_, r *ingotv1.Report) { r.Segments[0].Peers[0].SinceMs++ }, false},
		{"since when BFD is up", func(_, r *ingotv1.Report) { r.Segments[0].Peers[0].BfdSinceMs++ }, false},
		{"since when a witness answers", func(_, r *ingotv1.Report) { r.Segments[0].Witnesses[0].SinceMs++ }, false},
		{"when a rival was heard last", func(b, a *ingotv1.Report) {
			address(b).Rival = &ingotv1.Layer2Rival{Mac: "02:00:00:00:00:01", LastMs: 1}
			address(a).Rival = &ingotv1.Layer2Rival{Mac: "02:00:00:00:00:01", LastMs: 2}
		}, false},
		{"how long it has been vacant", func(b, a *ingotv1.Report) { address(b).VacantSinceMs, address(a).VacantSinceMs = 1, 2 }, false},
		{"a peer is silent", func(_, r *ingotv1.Report) { r.Segments[0].Peers[0].Answer = ingotv1.Answer_ANSWER_SILENT }, true},
		{"a peer's frames do not arrive", func(_, r *ingotv1.Report) { r.Segments[0].Peers[0].Heard = false }, true},
		{"BFD is down", func(_, r *ingotv1.Report) { r.Segments[0].Peers[0].BfdState = "Down" }, true},
		{"a witness is silent", func(_, r *ingotv1.Report) { r.Segments[0].Witnesses[0].Answer = ingotv1.Answer_ANSWER_SILENT }, true},
		{"another peer", func(_, r *ingotv1.Report) { r.Segments[0].Peers = r.Segments[0].Peers[:1] }, true},
		{"no segment", func(_, r *ingotv1.Report) { r.Segments = nil }, true},
		{"a link is down", func(_, r *ingotv1.Report) { r.Links[0].Up = false }, true},
		{"a link is renamed", func(_, r *ingotv1.Report) { r.Links[0].Name = "eth2" }, true},
		{"another hardware address", func(_, r *ingotv1.Report) { r.Links[0].Mac = "52:54:00:00:00:99" }, true},
		{"vacant", func(b, a *ingotv1.Report) { address(b); address(a).VacantSinceMs = 1 }, true},
		{"a rival", func(b, a *ingotv1.Report) {
			address(b)
			address(a).Rival = &ingotv1.Layer2Rival{Mac: "02:00:00:00:00:01"}
		}, true},
	} {
		for _, full := range []bool{true, false} {
			if test.name == "no segment" && !full {
				continue
			}
			r := newRig()
			s := r.connect("node1")
			before, after := lan(1), lan(1)
			test.change(before, after)
			after.Full = full
			r.observe(s, before, start)
			changes := r.changes
			r.observe(s, after, start)
			if got := r.changes > changes; got != test.want {
				t.Errorf("%s, full %t: the planner was told: %t, want %t", test.name, full, got, test.want)
			}
			if changes == 0 {
				t.Errorf("%s: the first report was no news", test.name)
			}
		}
	}
}

// TestReportsOfAnEarlierStreamAreNoEvidence: a node counts as connected for the judge with its first full report.
func TestReportsOfAnEarlierStreamAreNoEvidence(t *testing.T) {
	r := newRig()
	connected := func() bool { return r.testimony()[0].Connected }
	s := r.connect("node1")
	if connected() {
		t.Error("connected before it said anything")
	}
	r.observe(s, lan(1), start)
	if !connected() {
		t.Error("not connected, though it reported")
	}
	again := r.connect("node1")
	if connected() {
		t.Error("connected by the word of the earlier stream")
	}
	r.observe(again, lan(1), start)
	if !connected() {
		t.Error("not connected again")
	}
}

// TestFaultsAreJudgedServedAndLoggedOnce follows a cut cable from reports to what others see of it.
func TestFaultsAreJudgedServedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), nodeNamed("node1"), nodeNamed("node2"), nodeNamed("node3"))
	var peers []*peer
	for n := 1; n <= 3; n++ {
		p := c.connect(hello(fmt.Sprintf("node%d", n)))
		p.welcome()
		p.report(lan(n))
		peers = append(peers, p)
	}
	reasons := func(node string) string {
		var words []string
		for _, f := range c.hub.Faults(node) {
			words = append(words, string(f.Reason))
		}
		return strings.Join(words, " ")
	}
	eventually(t, "all are heard", func() bool { return len(c.hub.Nodes()) == 3 && reasons("node1") == "" })

	f := c.hub.Follow()
	cut := lan(1)
	for _, p := range cut.Segments[0].Peers {
		p.Answer, p.Heard, p.BfdState = ingotv1.Answer_ANSWER_SILENT, false, "Down"
	}
	cut.Segments[0].Witnesses[0].Answer = ingotv1.Answer_ANSWER_SILENT
	peers[0].report(cut)
	for n := 2; n <= 3; n++ {
		r := lan(n)
		silent := r.Segments[0].Peers[0]
		silent.Answer, silent.Heard, silent.BfdState = ingotv1.Answer_ANSWER_SILENT, false, "Down"
		peers[n-1].report(r)
	}
	eventually(t, "node1 is found isolated", func() bool { return reasons("node1") == string(segment.Isolated) })
	if reasons("node2") != "" || reasons("node3") != "" {
		t.Errorf("node2 %q, node3 %q", reasons("node2"), reasons("node3"))
	}
	eventually(t, "followers hear of it", func() bool { return slices.Contains(f.Take(), "node1") })
	want := `# HELP ingot_layer2_faults Links of nodes with which something is wrong, by reason.
# TYPE ingot_layer2_faults gauge
ingot_layer2_faults{node="node1",reason="Isolated"} 1
`
	await.Success(t, "the metric says so", func() error {
		return testutil.GatherAndCompare(c.hub.Registry(), strings.NewReader(want), "ingot_layer2_faults")
	})

	peers[0].report(lan(1))
	for n := 2; n <= 3; n++ {
		peers[n-1].report(lan(n))
	}
	eventually(t, "the cable is back", func() bool { return !strings.Contains(reasons("node1"), string(segment.Isolated)) })
}

// TestFaultsAreLoggedOnce: by the replica that leads, as they come and go.
func TestFaultsAreLoggedOnce(t *testing.T) {
	var out lines
	log := slog.New(slog.NewTextHandler(&out, nil))
	down := func(down bool) *segment.Verdicts {
		var m segment.Memory
		r := lan(1)
		r.Links[0].Up, r.Links[0].Carrier = !down, !down
		v, _ := m.Judge(time.Now(), []segment.Node{{Name: "node1", Connected: true, Links: r.Links}})
		return v
	}
	var l faultLog
	for _, step := range []struct {
		down, aloud bool
		want        string
	}{
		{false, true, ""},
		{true, true, "segmentFault LinkDown"},
		{true, true, ""},
		{false, true, "segmentFaultEnded LinkDown"},
		{true, false, ""},
		{true, true, ""},
	} {
		out.Reset()
		l.tell(log, (&layer2View{verdicts: down(step.down), nodes: []string{"node1"}}).allFaults(), step.aloud)
		if diff := cmp.Diff(step.want, out.events()); diff != "" {
			t.Errorf("%+v: logged (-want +got):\n%s", step, diff)
		}
	}
}

// lines are those of a log.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

// events are the events and reasons logged.
func (l *lines) events() string {
	var words []string
	for _, word := range strings.Fields(l.String()) {
		for _, key := range []string{"event=", "reason="} {
			if value, ok := strings.CutPrefix(word, key); ok {
				words = append(words, value)
			}
		}
	}
	return strings.Join(words, " ")
}

// TestASpeakerThatStandsStillIsNoticedByItsHeartbeats before its stream is given up.
func TestASpeakerThatStandsStillIsNoticedByItsHeartbeats(t *testing.T) {
	r := newRig()
	s := r.connect("node1")
	s.hub = &Hub{nodes: r.nodes}
	s.lanes = map[ingotv1.Lane]*lane{layer2Lane: {id: layer2Lane, held: map[string]holding{"layer2/192.0.2.1": {}}}}
	s.hears(start)
	s.pulse.seq, s.pulse.echo = 5, 4
	changes := r.changes
	s.stalls(start.Add(segment.Fresh))
	if r.changes != changes {
		t.Error("noticed too early")
	}
	s.stalls(start.Add(segment.Fresh + 1))
	s.stalls(start.Add(2 * segment.Fresh))
	if r.changes != changes+1 {
		t.Errorf("told %d times that it stands still, want once", r.changes-changes)
	}
	s.hears(start.Add(3 * segment.Fresh))
	s.hears(start.Add(3 * segment.Fresh))
	if r.changes != changes+2 {
		t.Errorf("told %d times that it goes on, want once", r.changes-changes-1)
	}
	s.hears(start.Add(4*segment.Fresh + 1))
	if r.changes != changes+3 {
		t.Errorf("told %d times that its word counts again, want once", r.changes-changes-2)
	}
	changes++
	s.pulse.echo = 5
	s.stalls(start.Add(time.Hour))
	if r.changes != changes+2 {
		t.Error("stands still, though nothing was asked of it")
	}
}
