package segment

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

func TestBFDDownHasTheWitnessesAskedAtOnce(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.AskIntervalMs = 60_000 }), eth0())
		n.pass(time.Second)
		s := n.sessions[netip.MustParseAddr("192.0.2.12")]
		if diff := cmp.Diff("192.0.2.12%eth0 from 192.0.2.11", s.key.String()+" from "+s.key.Local.String()); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
		if p := n.Peer("eth0", "node2"); p.BFD != Down || p.Known {
			t.Errorf("a session that never came up: %+v", p)
		}
		s.becomes(bfd.Up, bfd.Up, false)
		s.up = n.now()
		if p := n.Peer("eth0", "node2"); p.BFD != Up || !p.Known || p.LastHeard != s.up {
			t.Errorf("a session that is up: %+v", p)
		}
		if got := n.Evidence("eth0"); got != s.up {
			t.Errorf("evidence of %s, want of the last packet at %s", got, s.up)
		}
		n.pass(10 * time.Second)
		n.questions("192.0.2.1")
		changes := n.changes

		s.becomes(bfd.Down, bfd.Down, true)

		if len(n.questions("192.0.2.1")) != 1 {
			t.Error("the witness was not asked at once")
		}
		if n.changes == changes {
			t.Error("nobody was told")
		}
		n.pass(time.Millisecond)
		if n.Witness("eth0") != Heard || n.Evidence("eth0") <= s.up {
			t.Errorf("the witness is %s, evidence of %s", n.Witness("eth0"), n.Evidence("eth0"))
		}
		if p := n.Peer("eth0", "node2"); p.BFD != Down || !p.Known {
			t.Errorf("a session that failed: %+v", p)
		}
		if got := n.peerReport("node2").GetBfdState(); got != "Down" {
			t.Errorf("reported as %s", got)
		}
	})
}

func TestASessionThatEndsOnPurposeHasNotFailed(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(), eth0())
		s := n.sessions[netip.MustParseAddr("192.0.2.12")]
		s.becomes(bfd.Up, bfd.Up, false)
		s.becomes(bfd.Down, bfd.AdminDown, false)
		if p := n.Peer("eth0", "node2"); p.BFD != Left || !p.Known {
			t.Errorf("a peer that left: %+v", p)
		}
		if got := n.peerReport("node2").GetBfdState(); got != "AdminDown" {
			t.Errorf("reported as %s", got)
		}
		// It begins anew, and comes up in the end.
		s.becomes(bfd.Down, bfd.Down, false)
		if p := n.Peer("eth0", "node2"); p.BFD != Left {
			t.Errorf("a peer that comes back: %+v", p)
		}
		s.becomes(bfd.Up, bfd.Up, false)

		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Peers = s.Peers[1:] }), eth0())
		if !s.closed || n.Peer("eth0", "node2") != (Peer{}) || n.peerReport("node2") != nil {
			t.Errorf("a peer that is not watched any more: %+v, closed %v", n.Peer("eth0", "node2"), s.closed)
		}
		s.becomes(bfd.Down, bfd.Down, true) // late
	})
}

// TestWhatASessionWasBeforeItWasSeenUpIsNoNews: a session may come up while it is opened, and says later how.
func TestWhatASessionWasBeforeItWasSeenUpIsNoNews(t *testing.T) {
	run(t, func(n *network) {
		n.up = true
		n.Apply(item(), eth0())
		s := n.sessions[netip.MustParseAddr("192.0.2.12")]
		if p := n.Peer("eth0", "node2"); p.BFD != Up || !p.Known {
			t.Errorf("a session that is up from the start: %+v", p)
		}
		s.changed(bfd.Status{State: bfd.Init, Since: s.status.Since.Add(-time.Millisecond)})
		if p := n.Peer("eth0", "node2"); p.BFD != Up {
			t.Errorf("told of how it came up: %+v", p)
		}
	})
}

func TestASessionThatCannotBeOpenedIsNoSession(t *testing.T) {
	run(t, func(n *network) {
		n.refuse = errors.New("no")
		n.Apply(item(), eth0())
		if p := n.Peer("eth0", "node2"); p.BFD != Unwatched {
			t.Errorf("%+v", p)
		}
		n.refuse = nil
		n.Apply(item(), eth0())
		if p := n.Peer("eth0", "node2"); p.BFD != Down {
			t.Errorf("tried again: %+v", p)
		}
	})
}

func TestWhileAPeerIsLostHostsThatAskedAreAskedLikeOthers(t *testing.T) {
	run(t, func(n *network) {
		n.Apply(item(func(s *ingotv1.Layer2Segment) { s.Witnesses = nil }), eth0())
		s := n.sessions[netip.MustParseAddr("192.0.2.12")]
		s.becomes(bfd.Up, bfd.Up, false)
		n.Asker("eth0", netip.MustParseAddr("192.0.2.50"), macs["192.0.2.50"])
		n.pass(20 * time.Second)
		s.becomes(bfd.Down, bfd.Down, true)
		n.pass(time.Minute)
		n.questions("192.0.2.50")
		for range 100 {
			n.pass(100 * time.Millisecond)
			if n.Witness("eth0") != Heard {
				t.Fatalf("the witness is %s", n.Witness("eth0"))
			}
		}
		if asked := len(n.questions("192.0.2.50")); asked < 40 {
			t.Errorf("asked %d times in 10 s", asked)
		}
	})
}
