package dispatch

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// heartbeatInterval is between heartbeats to a node that owns layer-2 addresses or stands by for them; heartbeatValidity is how long
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
	// theirs is the speaker's own number, told the one echoed to it last.
	theirs, told uint64
	// echoes is set once an echo went out beside the heartbeats, until the next of those: speakers of before answer it, too.
	echoes bool
}

func newPulse(now time.Time) pulse { return pulse{heard: now, lastTick: now} }

// echoed takes an echo.
func (p *pulse) echoed(echo uint64, now time.Time) {
	if echo > p.echo && echo <= p.seq {
		p.echo, p.heard = echo, now
	}
}

// asked takes the speaker's own number, which it wants to see again.
func (p *pulse) asked(seq uint64) { p.theirs = max(p.theirs, seq) }

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
	if s.pace() == heartbeatInterval {
		s.stalls(now)
	}
	if !s.greeted || !s.pulse.due(now, s.pace()) {
		return nil
	}
	if s.postBeat(s.pulse.seq + 1) {
		s.pulse.seq++
		s.pulse.sent, s.pulse.echoes = now, false
	}
	return nil
}

// pace is how often the speaker is sent a heartbeat: those with layer-2 items, of whatever role, have to know at once when
// they hear the centre no more.
func (s *stream) pace() time.Duration {
	if s.lanes[layer2Lane].concerned() || s.lanes[layer2Lane].inflight != nil {
		return heartbeatInterval
	}
	return idleInterval
}

// echo tells the speaker at once that its heartbeat arrived, after everything that it is to obey: with the next heartbeat
// it would be a quarter of a second old.
func (s *stream) echo() {
	p := &s.pulse
	nothing := p.echoes || p.theirs == p.told || s.lanes[layer2Lane].inflight != nil
	if nothing || s.welcome == 0 || s.pace() != heartbeatInterval {
		return
	}
	p.echoes = s.postBeat(p.seq)
}

// postBeat sends a heartbeat. It echoes the speaker's number only where nothing that concerns layer 2 waits to be sent or
// obeyed: who hears the echo is up to date.
func (s *stream) postBeat(seq uint64) bool {
	beat := &ingotv1.Heartbeat{Seq: seq, Echo: s.pulse.told}
	if s.lanes[layer2Lane].inflight == nil {
		beat.Echo = s.pulse.theirs
	}
	if !s.post(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Heartbeat{Heartbeat: beat}}) {
		return false
	}
	s.pulse.told = beat.Echo
	return true
}
