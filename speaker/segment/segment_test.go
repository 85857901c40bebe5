package segment

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

const (
	answers = ingotv1.Answer_ANSWER_ANSWERS
	silent  = ingotv1.Answer_ANSWER_SILENT
	unknown = ingotv1.Answer_ANSWER_UNSPECIFIED
)

func TestWhoeverAnswersIsReportedAndAskedAtThePaceGiven(t *testing.T) {
	run(t, func(n *network) {
		began := time.Now()
		n.Apply(item(), eth0())
		n.pass(50 * time.Millisecond)

		got := n.segment()
		want := &ingotv1.SegmentReport{
			Interface: "eth0",
			Peers: []*ingotv1.SegmentPeerReport{
				{Node: "node2", Address: "192.0.2.12", Mac: macs["192.0.2.12"].String(), Answer: answers, Heard: true, BfdState: "Down"},
				{Node: "node3", Address: "192.0.2.13", Mac: macs["192.0.2.13"].String(), Answer: answers, Heard: true},
			},
			Witnesses: []*ingotv1.WitnessReport{
				{Address: "192.0.2.1", Mac: macs["192.0.2.1"].String(), Answer: answers, Source: ingotv1.WitnessReport_SOURCE_ORDERED},
			},
		}
		if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&ingotv1.SegmentPeerReport{}, "since_ms"), protocmp.IgnoreFields(&ingotv1.WitnessReport{}, "since_ms")); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		if since := time.UnixMilli(got.GetWitnesses()[0].GetSinceMs()); since.Before(began.Add(-time.Millisecond)) || since.After(time.Now()) {
			t.Errorf("the witness answers since %s", since)
		}
		if n.Witness("eth0") != Heard {
			t.Errorf("the witness is %s", n.Witness("eth0"))
		}

		changes := n.changes
		n.questions("192.0.2.1")
		n.pass(20 * time.Second)
		asked := n.questions("192.0.2.1")
		if len(asked) < 90 || len(asked) > 112 {
			t.Errorf("asked %d times in 20 s, want about 100", len(asked))
		}
		for _, q := range asked {
			if q.mac != macs["192.0.2.1"] || q.source != netip.MustParseAddr("192.0.2.11") || q.link != "eth0" {
				t.Fatalf("at rest %+v is asked, want the host alone", q)
			}
		}
		if n.changes != changes {
			t.Errorf("%d changes were told of while nothing changed", n.changes-changes)
		}
	})
}

func TestSilenceIsKnownAfterABurstAndItsEndAtOnce(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(5 * time.Second)
		n.answer("192.0.2.13")
		n.questions("192.0.2.1")

		took := n.until(time.Second, func() bool { return n.Witness("eth0") == Silent })

		if took < 430*time.Millisecond || took > 700*time.Millisecond {
			t.Errorf("silence was known after %s, want 0.45 to 0.67 s", took)
		}
		if asked := len(n.questions("192.0.2.1")); asked < fewest {
			t.Errorf("after %d questions", asked)
		}
		n.pass(300 * time.Millisecond) // not all are asked at the same time
		// Another host goes on.
		if got := n.peerReport("node3").GetAnswer(); got != answers {
			t.Errorf("node3 %s", got)
		}
		if p := n.Peer("eth0", "node2"); p.Answer != silent {
			t.Errorf("node2: %+v", p)
		}
		n.questions("192.0.2.1")
		n.pass(10 * time.Second)
		if asked := len(n.questions("192.0.2.1")); asked < 8 || asked > 13 {
			t.Errorf("a silent host was asked %d times in 10 s", asked)
		}
		n.answer("192.0.2.1", "192.0.2.12", "192.0.2.13")
		took = n.until(2*time.Second, func() bool { return n.Witness("eth0") == Heard })
		if took > 1200*time.Millisecond {
			t.Errorf("healing was known after %s", took)
		}
	})
}

func TestALateAnswerEndsSilenceAtOnce(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.answer()
		n.until(time.Second, func() bool { return n.witnessReport("192.0.2.1").GetAnswer() == silent })
		n.Heard("eth0", netip.MustParseAddr("192.0.2.1"), macs["192.0.2.1"], true, n.now())
		if n.witnessReport("192.0.2.1").GetAnswer() != answers || n.Witness("eth0") != Heard {
			t.Errorf("after an answer: %v", n.segment())
		}
	})
}

// TestLossIsNotSilence has a fifth of the frames lost on the way, and a fifth of the answers; then half of all.
func TestLossIsNotSilence(t *testing.T) {
	for _, lost := range []float64{0.36, 0.5} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			run(t, func(n *network) {
				random := rand.New(rand.NewPCG(1, 2))
				loss := 0.0
				n.answers = func(string) bool { return random.Float64() >= loss }
				n.Apply(item(), eth0())
				n.pass(10 * time.Second)
				// It grows, as no test can see the future.
				for range 20 {
					n.mu.Lock()
					loss += lost / 20
					n.mu.Unlock()
					n.pass(30 * time.Second)
				}
				changes := n.changes
				n.pass(time.Hour)
				if n.changes != changes {
					t.Errorf("%d changes were told of in an hour with %.0f %% of answers lost: %v", n.changes-changes, 100*lost, n.segment())
				}
				if n.Witness("eth0") != Heard {
					t.Errorf("the witness is %s", n.Witness("eth0"))
				}
			})
		})
	}
}

func TestOwnSleepIsNobodysSilence(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(5 * time.Second)
		changes := n.changes
		// For a minute, the process gets a millisecond of time every tenth of a second, and no packets.
		n.answer()
		for range 600 {
			n.mu.Lock()
			n.slept += 100 * time.Millisecond
			n.mu.Unlock()
			n.pass(time.Millisecond)
		}
		if n.changes != changes {
			t.Errorf("silent: %v", n.segment())
		}
		n.answer("192.0.2.1", "192.0.2.12", "192.0.2.13")
		n.pass(time.Second)
		if n.changes != changes {
			t.Errorf("silent: %v", n.segment())
		}
	})
}

func TestOneWay(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(5 * time.Second)
		// node3 asks on; node2 is gone.
		n.answer("192.0.2.1")
		for range 20 {
			n.pass(100 * time.Millisecond)
			n.Heard("eth0", netip.MustParseAddr("192.0.2.13"), macs["192.0.2.13"], false, n.now())
		}
		if p := n.peerReport("node3"); p.GetAnswer() != silent || !p.GetHeard() {
			t.Errorf("node3, whose questions arrive: %v", p)
		}
		if p := n.peerReport("node2"); p.GetAnswer() != silent || p.GetHeard() {
			t.Errorf("node2, of which nothing arrives: %v", p)
		}
		// Frames from another address of node2 show that they arrive, too.
		for range 20 {
			n.pass(100 * time.Millisecond)
			n.Heard("eth0", netip.MustParseAddr("198.51.100.7"), macs["192.0.2.12"], false, n.now())
		}
		if p := n.peerReport("node2"); p.GetAnswer() != silent || !p.GetHeard() {
			t.Errorf("node2, of which some frames arrive: %v", p)
		}
		n.pass(5 * time.Second)
		if p := n.peerReport("node2"); p.GetHeard() {
			t.Errorf("node2, silent for 5 s: %v", p)
		}
	})
}

func TestQuietLinksAreAskedRarelyAndHaveNoBFD(t *testing.T) {
	run(t, func(n *network) {
		n.answer("192.0.2.1")
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Quiet = true }), eth0())
		n.Verify("eth0")
		n.pass(100 * time.Second)
		for _, host := range []string{"192.0.2.1", "192.0.2.12", "192.0.2.13"} {
			asked := n.questions(host)
			if len(asked) < 9 || len(asked) > 12 {
				t.Errorf("%s was asked %d times in 100 s", host, len(asked))
			}
		}
		if len(n.sessions) > 0 {
			t.Error("a BFD session was opened")
		}
		if n.Witness("eth0") != Heard || n.peerReport("node3").GetAnswer() != silent {
			t.Errorf("report: %v", n.segment())
		}
	})
}

// TestAFasterPaceCountsFromNowOn: the centre takes it that who became an owner has asked everybody a moment later.
func TestAFasterPaceCountsFromNowOn(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.AskIntervalMs = 2000 }), eth0())
		n.pass(20 * time.Second)
		n.questions("192.0.2.1")
		for range 20 {
			n.Apply(item(func(s *ingotv1.Layer2Segment) { s.AskIntervalMs = 2000 }), eth0())
			n.pass(500 * time.Millisecond)
		}
		if asked := n.questions("192.0.2.1"); len(asked) > 6 {
			t.Errorf("the same pace again has it asked %d times in 10 s", len(asked))
		}
		for range 20 {
			n.Apply(item(), eth0())
			n.pass(50 * time.Millisecond)
			if len(n.questions("192.0.2.1")) == 0 {
				t.Fatal("the witness was not asked when the pace became faster")
			}
			n.Apply(item(func(s *ingotv1.Layer2Segment) { s.AskIntervalMs = 2000 }), eth0())
			n.pass(250 * time.Millisecond)
			n.questions("192.0.2.1")
		}
	})
}

func TestNextHopsAreWitnessesUnlessTheyAreNodes(t *testing.T) {
	run(t, func(n *network) {
		hops := []netip.Addr{netip.MustParseAddr("192.0.2.50"), netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.1")}
		n.Apply(item(), eth0(func(l *links.Link) { l.NextHops = hops }))
		n.pass(time.Second)
		got := map[string]ingotv1.WitnessReport_Source{}
		for _, w := range n.segment().GetWitnesses() {
			got[w.GetAddress()] = w.GetSource()
		}
		want := map[string]ingotv1.WitnessReport_Source{
			"192.0.2.1": ingotv1.WitnessReport_SOURCE_ORDERED, "192.0.2.50": ingotv1.WitnessReport_SOURCE_NEXT_HOP,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("witnesses (-want +got):\n%s", diff)
		}
		// One that the centre named and does not any more is a next hop still, and stays known.
		since := n.witnessReport("192.0.2.1").GetSinceMs()
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Witnesses = nil }), eth0(func(l *links.Link) { l.NextHops = hops }))
		if w := n.witnessReport("192.0.2.1"); w.GetSource() != ingotv1.WitnessReport_SOURCE_NEXT_HOP || w.GetSinceMs() != since || w.GetAnswer() != answers {
			t.Errorf("it is now %v", w)
		}
	})
}

func TestHostsThatAskAreWitnessesOnceTheyAnswer(t *testing.T) {
	run(t, func(n *network) {
		asks := func(host string, mac ownership.MAC) {
			n.Asker("eth0", netip.MustParseAddr(host), mac)
			n.pass(admission)
		}
		n.answer("192.0.2.50", "192.0.2.51", "192.0.2.52", "192.0.2.53")
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Witnesses = nil }), eth0())
		if n.Witness("eth0") != None {
			t.Errorf("without witnesses: %s", n.Witness("eth0"))
		}
		asks("192.0.2.77", macs["192.0.2.77"])  // does not answer, as clients behind a router that does proxy ARP may not
		asks("192.0.2.99", macs["192.0.2.13"])  // another address of node3
		asks("192.0.2.11", ownership.MAC{2, 9}) // our own address
		asks("192.0.2.13", macs["192.0.2.13"])  // node3
		asks("192.0.2.98", ourMAC)              // ourselves
		for _, host := range []string{"192.0.2.50", "192.0.2.51", "192.0.2.52", "192.0.2.53"} {
			asks(host, macs[host])
		}
		got := map[string]ingotv1.Answer{}
		for _, w := range n.segment().GetWitnesses() {
			if w.GetSource() != ingotv1.WitnessReport_SOURCE_ASKER {
				t.Errorf("%v", w)
			}
			got[w.GetAddress()] = w.GetAnswer()
		}
		if diff := cmp.Diff(map[string]ingotv1.Answer{"192.0.2.50": answers, "192.0.2.51": answers, "192.0.2.52": answers}, got); diff != "" {
			t.Errorf("witnesses (-want +got):\n%s", diff)
		}
		n.questions("192.0.2.50")
		n.pass(100 * time.Second)
		if asked := len(n.questions("192.0.2.50")); asked < 8 || asked > 13 {
			t.Errorf("asked %d times in 100 s", asked)
		}
		// What was heard ten seconds ago is no evidence; asked, it is.
		n.Verify("eth0")
		n.pass(time.Millisecond)
		if n.Witness("eth0") != Heard {
			t.Errorf("asked for: %s", n.Witness("eth0"))
		}
		n.answer()
		n.until(time.Second, func() bool { return n.Witness("eth0") == Silent })
		// Clients come and go.
		n.pass(2 * outlives)
		if got := n.segment().GetWitnesses(); len(got) > 0 {
			t.Errorf("still %v", got)
		}
	})
}

func TestALinkThatCannotBeUsedIsNotAskedOn(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(time.Second)
		down := eth0(func(l *links.Link) { l.Up, l.Unfit = false, "is down" })
		for name, all := range map[string][]links.Link{"down": down, "gone": nil} {
			n.Apply(item(), all)
			n.questions("192.0.2.1")
			n.pass(10 * time.Second)
			if asked := n.questions("192.0.2.1"); len(asked) > 0 {
				t.Errorf("%s: %d questions", name, len(asked))
			}
			if got := n.witnessReport("192.0.2.1").GetAnswer(); got != unknown || n.Witness("eth0") != None {
				t.Errorf("%s: %s, %s", name, got, n.Witness("eth0"))
			}
			n.Apply(item(), eth0())
			n.pass(50 * time.Millisecond)
			if n.Witness("eth0") != Heard {
				t.Errorf("after %s: %s", name, n.Witness("eth0"))
			}
		}
	})
}

func TestANewHardwareAddressIsShownToPeersAtOnce(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.AskIntervalMs = 60_000 }), eth0())
		n.pass(time.Second)
		n.questions("192.0.2.12")
		n.Apply(item(), eth0(func(l *links.Link) { l.MAC = ownership.MAC{2, 0, 0, 0, 0, 99} }))
		n.pass(time.Millisecond)
		if asked := n.questions("192.0.2.12"); len(asked) != 1 {
			t.Errorf("%d questions", len(asked))
		}
	})
}

func TestNodesAreKnownByWhatTheCentreSaysAndByWhatIsHeard(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(time.Second)
		other := ownership.MAC{2, 0, 0, 0, 7, 7}
		n.Heard("eth0", netip.MustParseAddr("192.0.2.13"), other, true, n.now())
		for mac, want := range map[ownership.MAC]string{macs["192.0.2.12"]: "node2", macs["192.0.2.13"]: "node3", other: "node3", macs["192.0.2.1"]: "", ourMAC: ""} {
			if got, ok := n.Node("eth0", mac); got != want || ok != (want != "") {
				t.Errorf("%s is %q, want %q", mac, got, want)
			}
		}
		if _, ok := n.Node("eth9", other); ok {
			t.Error("known on another link")
		}
	})
}

func TestARouterThatAnswersForAllIsNoNode(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(time.Second)
		n.answer("192.0.2.1")
		router := macs["192.0.2.1"]
		for range 100 {
			n.pass(10 * time.Millisecond)
			n.Heard("eth0", netip.MustParseAddr("192.0.2.13"), router, true, n.now())
		}
		if p := n.peerReport("node3"); p.GetAnswer() != silent || p.GetMac() == router.String() {
			t.Errorf("node3, for which the router answers: %v", p)
		}
	})
}

func TestMetrics(t *testing.T) {
	run(t, func(n *network) {
		registry := prometheus.NewRegistry()
		n.metrics.register(n.Watcher, registry)
		n.answer("192.0.2.1", "192.0.2.12")
		n.Apply(item(), eth0())
		n.sessions[netip.MustParseAddr("192.0.2.12")].becomes(bfd.Up, bfd.Up, false)
		n.pass(5 * time.Second)
		const want = `
# HELP ingot_speaker_segment_peers Other nodes that are listened to on an interface, by what their BFD session says (unwatched, down, up, left)
# TYPE ingot_speaker_segment_peers gauge
ingot_speaker_segment_peers{bfd="down",interface="eth0"} 0
ingot_speaker_segment_peers{bfd="left",interface="eth0"} 0
ingot_speaker_segment_peers{bfd="unwatched",interface="eth0"} 1
ingot_speaker_segment_peers{bfd="up",interface="eth0"} 1
# HELP ingot_speaker_segment_peers_answering Other nodes on an interface that answer when they are asked for their address
# TYPE ingot_speaker_segment_peers_answering gauge
ingot_speaker_segment_peers_answering{interface="eth0"} 1
# HELP ingot_speaker_segment_witnesses Hosts on an interface, other than nodes, that are asked whether they are heard, by their answer (unknown, answers, silent)
# TYPE ingot_speaker_segment_witnesses gauge
ingot_speaker_segment_witnesses{answer="answers",interface="eth0"} 1
ingot_speaker_segment_witnesses{answer="silent",interface="eth0"} 0
ingot_speaker_segment_witnesses{answer="unknown",interface="eth0"} 0
# HELP ingot_speaker_segment_ask_failures_total Questions that could not be sent
# TYPE ingot_speaker_segment_ask_failures_total counter
ingot_speaker_segment_ask_failures_total 0
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "ingot_speaker_segment_peers", "ingot_speaker_segment_peers_answering",
			"ingot_speaker_segment_witnesses", "ingot_speaker_segment_ask_failures_total"); err != nil {
			t.Error(err)
		}
		if asked := n.metrics.asked.Load(); asked < 60 {
			t.Errorf("%d questions are counted", asked)
		}
	})
}

func TestManyNodesAreAskedFromOneGoroutine(t *testing.T) {
	run(t, func(n *network) {
		var items []*ingotv1.Layer2Segment
		var all []links.Link
		for i := range 16 { // links with 64 nodes each
			s := &ingotv1.Layer2Segment{Interface: fmt.Sprintf("eth%d", i), AskIntervalMs: 2000}
			all = append(all, links.Link{Index: 2 + i, Name: s.GetInterface(), MAC: ownership.MAC{2, byte(i)}, Up: true})
			for j := range 100 {
				s.Peers = append(s.Peers, &ingotv1.SegmentPeer{Node: fmt.Sprintf("node%d", j), RemoteAddress: fmt.Sprintf("10.%d.0.%d", i, j+1)})
			}
			items = append(items, s)
		}
		before := runtime.NumGoroutine()
		n.Apply(items, all)
		n.pass(20 * time.Second)
		if grown := runtime.NumGoroutine() - before; grown > 8 {
			t.Errorf("%d more goroutines", grown)
		}
		var r ingotv1.Report
		n.Report(&r)
		for _, s := range r.GetSegments() {
			if len(s.GetPeers()) != maxPeers {
				t.Fatalf("%s: %d nodes", s.GetInterface(), len(s.GetPeers()))
			}
			for _, p := range s.GetPeers() {
				if p.GetAnswer() != answers {
					t.Fatalf("%s: %v", s.GetInterface(), p)
				}
			}
		}
	})
}

func TestWithdrawnSegmentsAreForgotten(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(time.Second)
		changes := n.changes
		n.Apply(nil, eth0())
		n.pass(time.Millisecond)
		if n.changes == changes || n.segment() != nil || !n.sessions[netip.MustParseAddr("192.0.2.12")].closed {
			t.Errorf("left: %v", n.segment())
		}
		n.questions("192.0.2.1")
		n.pass(time.Minute)
		if asked := n.questions("192.0.2.1"); len(asked) > 0 {
			t.Errorf("%d questions", len(asked))
		}
		n.Heard("eth0", netip.MustParseAddr("192.0.2.1"), macs["192.0.2.1"], true, n.now())
		n.Verify("eth0")
		if n.Witness("eth0") != None || n.Evidence("eth0") != 0 {
			t.Error("something is known of it")
		}
	})
}

func TestHearingWhatIsNobodysAllocatesNothing(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		n.pass(time.Second)
		client, witness := netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("192.0.2.1")
		n.Asker("eth0", client, macs["192.0.2.77"])
		allocated := testing.AllocsPerRun(1000, func() {
			n.Heard("eth0", client, macs["192.0.2.77"], false, time.Hour)
			n.Heard("eth0", witness, macs["192.0.2.1"], true, n.now())
			n.Asker("eth0", netip.AddrFrom4([4]byte{192, 0, 2, 201}), macs["192.0.2.77"])
			n.Evidence("eth0")
		})
		if allocated >= 1 {
			t.Errorf("%.1f allocations", allocated)
		}
	})
}
