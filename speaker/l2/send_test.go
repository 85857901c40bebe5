package l2

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/test/await"
)

// answering is a speaker that answers for many addresses on eth0 of a node, and does nothing that the test does not make it
// do: it is not run.
func answering(t *testing.T, r prometheus.Registerer) *Speaker {
	t.Helper()
	l := newLAN(t, 1)
	l.nodes[0].LinkLocal(t, "eth0")
	log := slog.New(slog.DiscardHandler)
	s := New(Options{Log: log, Node: "here", Engine: shared.New(log), Registerer: r})
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
	return s
}

// atOnce is when a packet came that is handled now, however long this process has to wait for its turn meanwhile: one that stood
// still would not answer.
func atOnce() time.Duration { return boottime.Now() + time.Minute }

// drain empties the budget, as if time passed, and returns what was in line.
func drain(s *Speaker) (out []transmission) {
	for now := time.Now(); ; {
		t, wait, ok := s.budget.next(now)
		if ok {
			out = append(out, t)
			continue
		}
		if wait == 0 {
			return out
		}
		now = now.Add(wait)
	}
}

// TestAResyncThatChangesNothingSendsNothing: MetalLB announces everything anew.
func TestAResyncThatChangesNothingSendsNothing(t *testing.T) {
	s := answering(t, nil)
	if out := drain(s); len(out) < floodAddresses {
		t.Fatalf("%d transmissions for %d new addresses", len(out), floodAddresses)
	}
	// New addresses are announced again and again for some seconds, whatever else happens.
	await.True(t, "only what keeps hosts' memory fresh is still to come", func() bool {
		s.tick()
		drain(s)
		return s.schedule[0].at > boottime.Now()+10*time.Second
	})
	items, _ := manyAddresses(1)
	for range 3 {
		s.Apply(t.Context(), items, false)
	}
	if out := drain(s); len(out) != 0 {
		t.Errorf("%d transmissions, want none: %v on %s", len(out), out[0].owned.address, out[0].link)
	}
}

func TestPacketsAreCounted(t *testing.T) {
	s := answering(t, prometheus.NewRegistry())
	p := s.ports["eth0"]
	_, all := manyAddresses(1)
	for i, frames := range []float64{2, 1} { // of a round, for IPv4 and IPv6
		o := s.owned[all[i]]
		request := frame.Message{Op: frame.Request, Destination: p.Link().MAC, Sender: all[2+i], SenderMAC: theirs, Target: o.address}
		for range 3 {
			s.hear(p, request, atOnce())
		}
		for _, k := range []kind{probing, first, repeated} {
			s.send(transmission{o, "eth0", k})
		}
		for name, got := range map[string][2]float64{
			"requests_received": {testutil.ToFloat64(o.requests), 3},
			"responses_sent":    {testutil.ToFloat64(o.responses), 3},
			"gratuitous_sent":   {testutil.ToFloat64(o.gratuitous), 2 * frames},
		} {
			if got[0] != got[1] {
				t.Errorf("%s of %s: %v, want %v", name, o.address, got[0], got[1])
			}
		}
	}
	s.Apply(t.Context(), nil, false)
	if n := testutil.CollectAndCount(s.metrics.requests); n != 0 {
		t.Errorf("%d addresses that are not owned any more are counted", n)
	}
}
