package l2

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/test/await"
)

// TestAnsweringDoesNotAllocate takes requests from where the port hands them over to the wire, for an address of each family
// among many. Package port tests the way to there.
func TestAnsweringDoesNotAllocate(t *testing.T) {
	l := newLAN(t, 1)
	l.nodes[0].LinkLocal(t, "eth0")
	log := slog.New(slog.DiscardHandler)
	s := New(Options{Log: log, Node: "here", Engine: shared.New(log)})
	t.Cleanup(s.end)
	items, all := manyAddresses(1)
	l.nodes[0].Do(t, func() error {
		s.Apply(t.Context(), items, false)
		return nil
	})
	await.True(t, "all are answered", func() bool {
		s.tick()
		for _, o := range s.owned {
			if !o.claim.Answers("eth0") {
				return false
			}
		}
		return len(s.owned) == len(all)
	})
	p := s.ports["eth0"]
	for _, a := range all[:2] {
		sender := host
		if a.Is6() {
			sender = netip.MustParseAddr("fd88::99")
		}
		request := frame.Message{Op: frame.Request, Destination: p.Link().MAC, Sender: sender, SenderMAC: theirs, Target: a}
		before := s.askers.seen[askerKey{"eth0", sender}]
		if n := testing.AllocsPerRun(500, func() { s.hear(p, request, boottime.Now()) }); n != 0 {
			t.Errorf("%s: %v allocations a request, want none", a, n)
		}
		if after := s.askers.seen[askerKey{"eth0", sender}]; after == before {
			t.Errorf("%s was not answered", a)
		}
		stranger := request
		stranger.Target = sender
		if n := testing.AllocsPerRun(500, func() { s.hear(p, stranger, boottime.Now()) }); n != 0 {
			t.Errorf("%s: %v allocations for a request for another, want none", a, n)
		}
	}
}
