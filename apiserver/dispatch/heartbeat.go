package dispatch

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// heartbeatInterval is between heartbeats to a node that owns layer-2 addresses; heartbeatValidity is how long
	// one counts there.
	heartbeatInterval = 250 * time.Millisecond
	heartbeatValidity = 750 * time.Millisecond
	// idleInterval is between heartbeats to other nodes.
	idleInterval = 2 * time.Second
	// echoTimeout closes a stream whose speaker echoes nothing for so long.
	echoTimeout = 10 * time.Second
	// stall is how late a tick must be for this process to have been stopped meanwhile.
	stall = time.Second
)

// pulse keeps the heartbeats of one stream.
type pulse struct {
	seq      uint64
	echo     uint64
	sent     time.Time // last heartbeat
	heard    time.Time // last echo that was news
	lastTick time.Time
}

func newPulse(now time.Time) pulse { return pulse{heard: now, lastTick: now} }

// echoed takes an echo.
func (p *pulse) echoed(echo uint64, now time.Time) {
	if echo > p.echo && echo <= p.seq {
		p.echo, p.heard = echo, now
	}
}

// tick notes the passing of time. It returns how long this process stood still; that was not the speaker's fault.
func (p *pulse) tick(now time.Time) time.Duration {
	gap := now.Sub(p.lastTick) - heartbeatInterval
	p.lastTick = now
	if gap < stall {
		return 0
	}
	p.heard = p.heard.Add(gap)
	return gap
}

// due says whether a heartbeat is due, at the pace that interval gives.
func (p *pulse) due(now time.Time, interval time.Duration) bool {
	return now.Sub(p.sent) >= interval-heartbeatInterval/2
}

// beat sends a heartbeat when one is due, and closes the stream of a speaker that has fallen silent.
func (s *stream) beat(now time.Time) error {
	if gap := s.pulse.tick(now); gap > 0 {
		for _, l := range s.lanes {
			l.sentAt = l.sentAt.Add(gap)
		}
	}
	if now.Sub(s.pulse.heard) > echoTimeout {
		return status.Errorf(codes.DeadlineExceeded, "no heartbeat echoed within %s", echoTimeout)
	}
	if err := s.overdue(now); err != nil {
		return err
	}
	interval := idleInterval
	if s.lanes[layer2Lane].concerned() {
		interval = heartbeatInterval
	}
	if !s.greeted || !s.pulse.due(now, interval) {
		return nil
	}
	if s.post(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Seq: s.pulse.seq + 1}}}) {
		s.pulse.seq++
		s.pulse.sent = now
	}
	return nil
}
