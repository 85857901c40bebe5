package bgp

import (
	"fmt"
	"strings"
)

// trouble says why there is no session, or why the last one ended. s.mu is held.
func (s *session) trouble() lastFault {
	if s.unreachable != "" && s.state != stateEstablished {
		return lastFault{fault{words: s.unreachable}, s.since}
	}
	last := s.last
	if strings.HasPrefix(last.words, connectPrefix) && s.beyondLink.IsValid() {
		last.words = fmt.Sprintf("%s (the peer is behind %s: an external peer more than one hop away needs ebgpMultiHop)", last.words, s.beyondLink)
	}
	if last.vague && s.unanswered {
		// It may still wait for us to say something, on a connection that we have given up.
		last.words += "; before, it sent its OPEN message and did not answer ours" + s.unheard()
	}
	return last
}

// notices says where the session is not quite as configured. s.mu is held.
func (s *session) notices() []string {
	var notices []string
	if s.cfg.noHold {
		notices = append(notices, fmt.Sprintf("a hold time of 0 cannot be sent: it is %s, the longest there is, so the peer's own hold time is in force", maxHold))
	}
	switch {
	case s.service == draining, s.service == shut && s.state == stateEstablished: // which is about to end
		notices = append(notices, "draining: the peer is asked by the community graceful-shutdown to prefer other nodes, and the session will be shut")
	case s.service == shut:
		notices = append(notices, "drained: the session is shut until the annotation ingot.io/drain of the Node goes, or a drain on the node itself ends")
	}
	if s.state != stateEstablished {
		return notices
	}
	if s.cfg.ipv4 && !s.agreed.ipv4 {
		notices = append(notices, "the peer does not carry IPv4 on this session: it gets no IPv4 prefixes")
	}
	if s.cfg.ipv6 && !s.agreed.ipv6 {
		notices = append(notices, "the peer does not carry IPv6 on this session: it gets no IPv6 prefixes")
	}
	if s.cfg.linkLocal() && s.cfg.ipv4 && s.agreed.ipv4 && !s.agreed.extendedNextHop {
		notices = append(notices, "the peer does not take IPv6 next hops for IPv4 (RFC 8950): it gets the interface's IPv4 address, if that has one")
	}
	if s.agreed.keepalive > s.cfg.keepalive {
		notices = append(notices, fmt.Sprintf("the peer's hold time is %s, so keepalives are sent every %s instead of %s", s.agreed.hold, s.agreed.keepalive, s.cfg.keepalive))
	}
	return notices
}
