package l2

import (
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
)

// TestAnsweringDoesNotAllocate takes requests from where the port hands them over to the wire, for an address of each family
// among many. Package port tests the way to there.
func TestAnsweringDoesNotAllocate(t *testing.T) {
	s := answering(t, nil)
	_, all := manyAddresses(1)
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
