package bgp

import (
	"context"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// retirePatience is how long, beyond the time to drain, sessions may take to close when the speaker ends.
const retirePatience = 2 * time.Second

// dismiss ends a session that is not configured any more: what it carries is drained before. reason is for the log.
func (s *Speaker) dismiss(session *session, reason string) {
	session.applying.Lock()
	defer session.applying.Unlock()
	if s.drainTime <= 0 || session.inService() != inService || !session.carriesRoutes() {
		session.finish(reason)
		return
	}
	session.log.Info("draining BGP session", "event", "sessionDraining", "reason", reason, "for", s.drainTime.String())
	if err := session.prefersOthers(); err != nil {
		session.log.Error("cannot drain the session", "op", "sendUpdate", "error", err)
		session.finish(reason)
		return
	}
	s.mu.Lock()
	s.leaving[session.cfg.peer] = session
	s.mu.Unlock()
	session.drainTimer = time.AfterFunc(s.drainTime, func() { s.forget(session, reason) })
}

// forget ends a session that was being drained.
func (s *Speaker) forget(session *session, reason string) {
	session.applying.Lock()
	if !session.closed {
		session.finish(reason)
	}
	session.applying.Unlock()
	s.mu.Lock()
	if s.leaving[session.cfg.peer] == session {
		delete(s.leaving, session.cfg.peer)
	}
	s.mu.Unlock()
	s.notify()
}

// makeWay ends at once those sessions that are being drained and are with the same neighbour as a new one, or by its name.
func (s *Speaker) makeWay(cfg sessionConfig) {
	s.mu.Lock()
	var inTheWay []*session
	for peer, session := range s.leaving {
		same := session.cfg.address == cfg.address && session.cfg.unnumbered == cfg.unnumbered && session.cfg.vrf == cfg.vrf
		if same || peer == cfg.peer {
			inTheWay = append(inTheWay, session)
		}
	}
	s.mu.Unlock()
	for _, session := range inTheWay {
		s.forget(session, "replaced")
	}
}

// retire ends the sessions whose neighbours forget our routes when this process ends: the neighbours are asked to prefer
// others before. Those with graceful restart are left as they are, so that neighbours go on forwarding (RFC 4724). It takes no
// longer than ctx lasts.
func (s *Speaker) retire(ctx context.Context) {
	s.applying.Lock()
	sessions := s.list()
	s.applying.Unlock()
	var group sync.WaitGroup
	for _, session := range sessions {
		if session.cfg.gracefulRestart {
			continue
		}
		group.Go(func() { session.retire(ctx, s.drainTime) })
	}
	group.Wait()
}

// retire drains the session and shuts it. It returns when that is done, or takes too long, or ctx ends.
func (s *session) retire(ctx context.Context, drainTime time.Duration) {
	s.applying.Lock()
	if s.closed || drainTime <= 0 || !s.carriesRoutes() {
		s.applying.Unlock()
		return
	}
	s.retired = true
	s.log.Info("draining BGP session", "event", "sessionDraining", "reason", endedWords, "for", drainTime.String())
	err := s.prefersOthers()
	s.applying.Unlock()
	if err == nil {
		if backoff.Sleep(ctx, drainTime) != nil {
			return
		}
		s.applying.Lock()
		if !s.closed && s.inService() == draining {
			err = s.shut(endedWords)
		}
		s.applying.Unlock()
	}
	if err != nil {
		s.log.Error("cannot shut the session", "op", "shutdown", "error", err)
		return
	}
	// The NOTIFICATION is on its way while the session is still up.
	ctx, enough := context.WithTimeout(ctx, retirePatience)
	defer enough()
	for s.established() && backoff.Sleep(ctx, 10*time.Millisecond) == nil {
	}
}
