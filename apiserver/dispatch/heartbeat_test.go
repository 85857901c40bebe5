package dispatch

import (
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// beating is a stream whose speaker has sent the heartbeat of that number.
func beating(theirs uint64) *stream {
	s := &stream{
		out: make(chan *ingotv1.ConnectResponse, outbox), welcome: 1, greeted: true, pulse: newPulse(time.Now()),
		lanes: map[ingotv1.Lane]*lane{layer2Lane: {id: layer2Lane, held: map[string]holding{"layer2/192.0.2.1": {}}}, routingLane: {id: routingLane}},
	}
	s.pulse.seq, s.pulse.echo = 7, 7
	s.pulse.asked(theirs)
	return s
}

// said returns what the stream has posted.
func said(s *stream) (beats []*ingotv1.Heartbeat) {
	for {
		select {
		case m := <-s.out:
			beats = append(beats, m.GetHeartbeat())
		default:
			return beats
		}
	}
}

func TestASpeakersHeartbeatIsEchoedAtOnceAndOnce(t *testing.T) {
	s := beating(3)
	s.echo()
	s.echo()
	if got := said(s); len(got) != 1 || got[0].GetSeq() != 7 || got[0].GetEcho() != 3 {
		t.Errorf("said %v, want one echo of 3 with the number of before", got)
	}

	// A speaker that answers the echo, too, is not answered before the next heartbeat.
	s.pulse.asked(4)
	s.echo()
	if got := said(s); len(got) != 0 {
		t.Errorf("said %v between two heartbeats", got)
	}
	if err := s.beat(time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := said(s); len(got) != 1 || got[0].GetSeq() != 8 || got[0].GetEcho() != 4 {
		t.Errorf("said %v, want heartbeat 8 with an echo of 4", got)
	}
}

func TestNothingIsEchoedBeforeItsOrdersAreObeyed(t *testing.T) {
	s := beating(3)
	s.lanes[layer2Lane].inflight, s.lanes[layer2Lane].sentAt = &ingotv1.Update{}, time.Now()
	s.echo()
	if err := s.beat(time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := said(s); len(got) != 1 || got[0].GetEcho() != 0 {
		t.Errorf("said %v to a speaker that has not obeyed yet, want a heartbeat without an echo", got)
	}

	s.lanes[layer2Lane].inflight = nil
	s.echo()
	if got := said(s); len(got) != 1 || got[0].GetSeq() != 8 || got[0].GetEcho() != 3 {
		t.Errorf("said %v once it has, want an echo of 3", got)
	}
}

func TestOnlyWhoAnswersOrStandsByIsEchoedAtOnce(t *testing.T) {
	s := beating(3)
	clear(s.lanes[layer2Lane].held)
	s.echo()
	if got := said(s); len(got) != 0 {
		t.Errorf("said %v to a speaker without layer-2 addresses", got)
	}
}
