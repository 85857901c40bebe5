package bgp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const testDrainTime = 3 * time.Second

// newDrainingSpeaker is a speaker that drains sessions, with fakes around it.
func newDrainingSpeaker() (*Speaker, *script) {
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), DrainTime: testDrainTime})
	wires := newScript()
	s.opener, s.node = wires, &fakeNode{way: egress{local: netip.MustParseAddr("192.0.2.11"), ipv4: netip.MustParseAddr("192.0.2.11")}}
	return s, wires
}

func drained(s *ingotv1.BgpSession)  { s.Drain = true }
func graceful(s *ingotv1.BgpSession) { s.GracefulRestart = true }

// expect fails the test unless exactly these were asked of the wires since it was last called.
func (s *script) expect(t *testing.T, when string, want map[string][]string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, s.take()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestADrainedNodeAsksToPreferOthersAndThenShutsItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		route := routeItem("198.51.100.1/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{7}})
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), route}, false)
		wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64512})
		wires.take()

		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", drained), route}, false)
		wires.expect(t, "draining", map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities [7 4294901760]"}})
		if got := s.list()[0].report().GetNotices(); len(got) != 1 {
			t.Errorf("notices %q, want one that says that the session is drained", got)
		}
		time.Sleep(testDrainTime - time.Millisecond)
		wires.expect(t, "shortly before the end", map[string][]string{})
		time.Sleep(time.Millisecond)
		wires.expect(t, "at the end", map[string][]string{"tor1": {"shutdown the node is drained"}})
		wires.wires["tor1"].observe(transition{state: stateIdle})
		wires.expect(t, "when it has ended", map[string][]string{"tor1": {"disconnect"}})

		// Nothing connects again, whatever happens, until the node is in service.
		s.refresh()
		s.PathUp("tor1")
		time.Sleep(time.Hour)
		if got := wires.take()["tor1"]; len(got) > 0 && got[len(got)-1] != "disconnect" {
			t.Errorf("a shut session: %q", got)
		}
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), route}, false)
		wires.expect(t, "in service again", map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities [7]", "connect restarting=false"}})
		s.retire(t.Context())
	})
}

func TestADrainThatIsTakenBackResetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		route := routeItem("198.51.100.1/32", to("tor1"))
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), route}, false)
		wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64512})
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", drained), route}, false)
		time.Sleep(testDrainTime / 2)
		wires.take()

		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), route}, false)
		time.Sleep(time.Minute)
		wires.expect(t, "taken back", map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities []"}})
	})
}

// TestAfterARestartADrainedNodeStaysShut: but where the neighbour may hold routes of before, it is told to prefer others.
func TestAfterARestartADrainedNodeStaysShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		s.Apply(t.Context(), []*ingotv1.Item{
			sessionItem("tor1", drained), sessionItem("tor2", drained, graceful), routeItem("198.51.100.1/32", to("tor1", "tor2")),
		}, true)
		wires.expect(t, "restored", map[string][]string{
			"tor1": {"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities [4294901760]"},
			"tor2": {"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities [4294901760]", "connect restarting=true"},
		})
		time.Sleep(20 * time.Second)
		wires.expect(t, "while the neighbour is away", map[string][]string{})
		wires.wires["tor2"].observe(transition{state: stateEstablished, peerASN: 64512})
		time.Sleep(2 * testDrainTime)
		wires.expect(t, "when it has heard", map[string][]string{"tor2": {"shutdown the node is drained", "disconnect"}})
	})
}

func TestARemovedSessionIsDrainedBeforeItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2"), routeItem("198.51.100.1/32", to("tor1"))}, false)
		for _, peer := range []string{"tor1", "tor2"} {
			wires.wires[peer].observe(transition{state: stateEstablished, peerASN: 64512})
		}
		wires.take()

		s.Apply(t.Context(), nil, false)
		wires.expect(t, "removed", map[string][]string{
			"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities [4294901760]"},
			"tor2": {"close"}, // nothing depends on it
		})
		if !s.Leaving("tor1") || s.Leaving("tor2") || len(s.list()) != 0 {
			t.Errorf("leaving: tor1 %t, tor2 %t, and %d sessions; want true, false, 0", s.Leaving("tor1"), s.Leaving("tor2"), len(s.list()))
		}
		time.Sleep(testDrainTime)
		wires.expect(t, "at the end", map[string][]string{"tor1": {"close"}})
		if s.Leaving("tor1") {
			t.Error("tor1 is leaving still")
		}
	})
}

func TestANewSessionDoesNotWaitForOneThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1"))}, false)
		wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64512})
		s.Apply(t.Context(), nil, false)
		wires.take()

		// The same neighbour by another name.
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("renamed"), routeItem("198.51.100.1/32", to("renamed"))}, false)
		wires.expect(t, "renamed", map[string][]string{
			"tor1":    {"close"},
			"renamed": {"open 192.0.2.11", "add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=false"},
		})
		time.Sleep(time.Minute)
		wires.expect(t, "later", map[string][]string{})
	})
}

func TestTheEndOfTheSpeakerDrainsSessionsThatNeighboursForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		s.Apply(t.Context(), []*ingotv1.Item{
			sessionItem("forgets"), sessionItem("keeps", graceful), sessionItem("away"), routeItem("198.51.100.1/32", to("forgets", "keeps", "away")),
		}, false)
		for _, peer := range []string{"forgets", "keeps"} {
			wires.wires[peer].observe(transition{state: stateEstablished, peerASN: 64512})
		}
		wires.take()

		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		end()
		wires.expect(t, "ending", map[string][]string{"forgets": {"add 198.51.100.1/32 via 0.0.0.0 communities [4294901760]"}})
		time.Sleep(testDrainTime)
		wires.expect(t, "drained", map[string][]string{"forgets": {"shutdown the speaker ends"}})
		wires.wires["forgets"].observe(transition{state: stateIdle})
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestTheRouterPrefersOthersToANodeThatLeaves: what FRR makes of a drained session, external and internal, and how it ends.
func TestTheRouterPrefersOthersToANodeThatLeaves(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	out := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	in := newRouter(t, node, 2, nodeASN, neighbour("NODE4", "64500")...)
	// Long enough that FRR is seen to be asked before it is left, on a busy machine too.
	p := node.Start(t, "INGOT_TEST_DRAIN_TIME=15s")
	sessions := func(with ...func(*ingotv1.BgpSession)) []*ingotv1.Item {
		return []*ingotv1.Item{
			external("out", out.address4, with...),
			external("in", in.address4, append(with, func(s *ingotv1.BgpSession) { s.PeerAsn = nodeASN })...),
			routeItem("198.51.100.1/32", &ingotv1.BgpAdvertisement{Peers: []string{"out", "in"}, LocalPref: 300, Communities: []uint32{64500<<16 | 1}}),
		}
	}
	p.Apply(t, sessions()...)
	for _, r := range []*router{out, in} {
		r.eventuallyPath(t, "198.51.100.1/32", r.node4)
	}

	p.Apply(t, sessions(drained)...)
	for _, r := range []*router{out, in} {
		netns.Eventually(t, patience, func() error {
			// FRR gives routes with the community a LOCAL_PREF of 0 by itself where they are external.
			if s, err := r.path("198.51.100.1/32", r.node4); err != nil || s.LocalPref != 0 || !strings.Contains(s.Communities, "graceful-shutdown") || !strings.Contains(s.Communities, "64500:1") {
				return fmt.Errorf("%+v, %v; want a LOCAL_PREF of 0, graceful-shutdown and 64500:1", s, err)
			}
			return nil
		})
	}
	for peer, r := range map[string]*router{"out": out, "in": in} {
		r.eventuallyGone(t, "198.51.100.1/32", r.node4)
		netns.Eventually(t, patience, func() error {
			text, err := r.vtysh("show bgp neighbors " + r.node4)
			if err == nil && !strings.Contains(text, "Notification received (Cease/Administrative Shutdown)") {
				err = fmt.Errorf("no Administrative Shutdown in %s", text)
			}
			return err
		})
		// Drained: Cease/Administrative Shutdown, sent, and a notice.
		reported(t, p, peer, func(s *ingotv1.SessionReport) bool {
			return s.GetState() == "Idle" && s.GetLastErrorCode() == 6 && s.GetLastErrorSubcode() == 2 && !s.GetLastErrorReceived() && len(s.GetNotices()) > 0
		})
	}

	p.Apply(t, sessions()...)
	for _, r := range []*router{out, in} {
		if s := r.eventuallyPath(t, "198.51.100.1/32", r.node4); strings.Contains(s.Communities, "graceful-shutdown") {
			t.Errorf("in service again: %+v", s)
		}
	}
}

func TestADrainOnDemandEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		items := []*ingotv1.Item{sessionItem("tor1"), routeItem("198.51.100.1/32", to("tor1"))}
		s.Apply(t.Context(), items, false)
		wires.wires["tor1"].observe(transition{state: stateEstablished, peerASN: 64512})
		wires.take()

		s.Drain(time.Now().Add(time.Minute))
		s.Apply(t.Context(), items, false) // what the centre says changes nothing
		wires.expect(t, "draining", map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities [4294901760]"}})
		time.Sleep(testDrainTime)
		wires.expect(t, "shut", map[string][]string{"tor1": {"shutdown the node is drained"}})
		wires.wires["tor1"].observe(transition{state: stateIdle})
		wires.take()
		time.Sleep(time.Minute - testDrainTime - time.Millisecond)
		wires.expect(t, "still", map[string][]string{"tor1": {"disconnect"}}) // the end of the patience with what is shut
		time.Sleep(time.Millisecond)
		wires.expect(t, "over", map[string][]string{"tor1": {"add 198.51.100.1/32 via 0.0.0.0 communities []", "connect restarting=false"}})
		s.Apply(t.Context(), nil, false)
	})
}
