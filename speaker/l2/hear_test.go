package l2

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
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
		if n := testing.AllocsPerRun(500, func() { s.hear(p, request, atOnce()) }); n != 0 {
			t.Errorf("%s: %v allocations a request, want none", a, n)
		}
		if after := s.askers.seen[askerKey{"eth0", sender}]; after == before {
			t.Errorf("%s was not answered", a)
		}
		stranger := request
		stranger.Target = sender
		if n := testing.AllocsPerRun(500, func() { s.hear(p, stranger, atOnce()) }); n != 0 {
			t.Errorf("%s: %v allocations for a request for another, want none", a, n)
		}
	}
}

// TestOthersDoNotDecideHowMuchIsLogged floods the speaker with requests that nobody can be answered for, and then with good
// ones while nothing can be sent.
func TestOthersDoNotDecideHowMuchIsLogged(t *testing.T) {
	s := answering(t, prometheus.NewRegistry())
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	p := s.ports["eth0"]
	_, all := manyAddresses(1)
	o := s.owned[all[0]]
	request := frame.Message{Op: frame.Request, Destination: p.Link().MAC, Sender: host, Target: o.address}
	for _, request.SenderMAC = range []ownership.MAC{frame.Broadcast, {1, 0, 0x5e, 0, 0, 1}, {}} {
		for range 1000 {
			s.hear(p, request, atOnce())
		}
	}
	if log.Len() > 0 || testutil.ToFloat64(o.requests) != 0 || testutil.ToFloat64(o.responses) != 0 {
		t.Errorf("requests of no host: %v counted, %v answered, and logged %q", testutil.ToFloat64(o.requests), testutil.ToFloat64(o.responses), log.String())
	}

	p.Close() // so that nothing can be sent
	request.SenderMAC = theirs
	began := time.Now()
	for range 1000 {
		s.hear(p, request, atOnce())
	}
	most := 1 + int(time.Since(began)/time.Second)
	if n := bytes.Count(log.Bytes(), []byte("cannot answer")); n < 1 || n > most {
		t.Errorf("%d lines are logged for 1000 answers that could not be sent, want 1 to %d", n, most)
	}
}
