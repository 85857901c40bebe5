package bgp

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// reached is what a session has come to: what both sides said, and how often. session.mu guards it.
type reached struct {
	// routerID is ours, peerID the neighbour's; local is our address. The last two are of the newest session.
	routerID, peerID, local string
	localASN, peerASN       uint32
	established, lost       uint64
	// counters are as of read, with those before, which are of the session in whose place this one is.
	counters, before counters
	read             time.Time
}

// follow takes a transition from before.
func (r *reached) follow(before state, t transition) {
	switch {
	case t.state == stateEstablished && before != stateEstablished:
		r.established++
		r.peerID, r.local, r.localASN, r.peerASN = t.peerID, t.local, t.localASN, t.peerASN
	case before == stateEstablished && t.state != stateEstablished:
		r.lost++
	}
}

// fault notes what went wrong. It is called with gobgp's locks held.
func (s *session) fault(f fault) {
	if f.words == connectPrefix+timedOut {
		f.words += s.node.silence(s.cfg)
	}
	s.mu.Lock()
	if f.vague && s.last.words != "" && !s.last.vague && time.Since(s.last.at) < vagueWithin {
		s.mu.Unlock()
		return
	}
	f.words = s.badPeerASN(f.words)
	news := s.last.fault != f
	s.last = lastFault{f, time.Now()}
	s.mu.Unlock()
	if !news {
		return
	}
	if why, ok := strings.CutPrefix(f.words, connectPrefix); ok {
		s.log.Warn("failed to connect to peer", "op", "connect", "error", why)
	}
	s.changed()
}

// count reads the counters, unless that was done within maxAge.
func (s *session) count(maxAge time.Duration) {
	s.mu.Lock()
	fresh := time.Since(s.reached.read) < maxAge
	s.mu.Unlock()
	if fresh {
		return
	}
	c, err := s.wire.counters()
	if err != nil {
		s.log.Warn("cannot read message counters", "op", "readPeer", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached.counters, s.reached.read = s.reached.before.plus(c), time.Now()
}

// tally returns what has been counted for the neighbour of cfg, which goes on where only parameters change: counters do not go
// backwards.
func (s *session) tally(cfg sessionConfig) reached {
	if s.cfg.neighbour() != cfg.neighbour() || s.cfg.port != cfg.port || s.cfg.vrf != cfg.vrf {
		return reached{}
	}
	s.count(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	return reached{counters: s.reached.counters, established: s.reached.established, lost: s.reached.lost}
}

// goOn counts from what was counted before.
func (s *session) goOn(before reached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached.before = before.counters
	s.reached.before.prefixesRefused = 0
	s.reached.counters = s.reached.before.plus(s.reached.counters)
	s.reached.established += before.established
	s.reached.lost += before.lost
}

const (
	// countEvery is how often counters are read to be reported, less up to a quarter; the agent tells them at a pace of its
	// own.
	countEvery = 5 * time.Second
	// shownFresh is how old they may be for somebody who asks.
	shownFresh = time.Second
)

// keepCounting brings the counters up to date now and then, until ctx ends.
func (s *Speaker) keepCounting(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.count(countEvery / 2)
		timer.Reset(countEvery - rand.N(countEvery/4))
	}
}

// Refresh brings up to date what Report is not asked often enough for: it is for somebody who looks.
func (s *Speaker) Refresh() { s.count(shownFresh) }

func (s *Speaker) count(maxAge time.Duration) {
	for _, session := range s.list() {
		session.count(maxAge)
	}
}

// report says how the session fares.
func (s *session) report() *ingotv1.SessionReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &ingotv1.SessionReport{
		Peer:           s.cfg.peer,
		Address:        s.address(),
		Interface:      s.device(),
		Vrf:            s.cfg.vrf,
		Notices:        s.notices(),
		Port:           uint32(s.cfg.port),
		State:          string(s.state),
		SinceMs:        s.since.UnixMilli(),
		RouterId:       s.reached.routerID,
		RemoteRouterId: s.reached.peerID,
		LocalAsn:       s.cfg.ownASN(),
		RemoteAsn:      s.cfg.peerASN,
		LocalAddress:   s.reached.local,
	}
	if r.RemoteAsn == 0 {
		r.RemoteAsn = s.reached.peerASN
	}
	if r.LocalAddress == "" && s.egress.local.IsValid() {
		r.LocalAddress = s.egress.local.String()
	}
	if last := s.trouble(); last.words != "" {
		r.LastError, r.LastErrorMs = last.words, last.at.UnixMilli()
		r.LastErrorCode, r.LastErrorSubcode, r.LastErrorReceived = uint32(last.code), uint32(last.subcode), last.received
	}
	if s.state == stateEstablished {
		r.HoldTimeMs, r.KeepaliveTimeMs = uint32(s.agreed.hold.Milliseconds()), uint32(s.agreed.keepalive.Milliseconds())
		if s.ipv4 {
			r.Families, r.AdvertisedIpv4 = append(r.Families, ingotv1.Family_FAMILY_IPV4_UNICAST), uint32(s.rib.ipv4)
		}
		if s.ipv6 {
			r.Families, r.AdvertisedIpv6 = append(r.Families, ingotv1.Family_FAMILY_IPV6_UNICAST), uint32(len(s.rib.have)-s.rib.ipv4)
		}
	}
	r.Advertised = r.AdvertisedIpv4 + r.AdvertisedIpv6
	r.Counters = s.reached.report()
	return r
}

func (r *reached) report() *ingotv1.SessionCounters {
	c := r.counters
	return &ingotv1.SessionCounters{
		OpensSent: c.opensSent, OpensReceived: c.opensReceived,
		UpdatesSent: c.updatesSent, UpdatesReceived: c.updatesReceived,
		KeepalivesSent: c.keepalivesSent, KeepalivesReceived: c.keepalivesReceived,
		NotificationsSent: c.notificationsSent, NotificationsReceived: c.notificationsReceived,
		RouteRefreshesSent: c.refreshSent, TotalSent: c.totalSent, TotalReceived: c.totalReceived,
		Established: r.established, Lost: r.lost, PrefixesRefused: c.prefixesRefused,
	}
}

// advertised counts the paths that the neighbour sees. s.mu is held.
func (s *session) advertised() int {
	n := 0
	if s.state == stateEstablished && s.ipv4 {
		n += s.rib.ipv4
	}
	if s.state == stateEstablished && s.ipv6 {
		n += len(s.rib.have) - s.rib.ipv4
	}
	return n
}
