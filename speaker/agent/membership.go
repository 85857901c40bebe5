package agent

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// link is what is known of one address of the centre, connected or not.
type link struct {
	endpoint string
	// stream is nil while there is no connection.
	stream    *stream
	replica   string
	lineage   string
	since     time.Time
	lastError string
}

// opened notes a new connection and returns what to say on it first.
func (c *core) opened(s *stream) *ingotv1.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[s] = struct{}{}
	hello := &ingotv1.Hello{Node: c.node, Features: desired.Features()}
	c.state.Hello(s.replica, hello)
	return hello
}

// welcome notes who answers on s. The first welcome makes the stream count, and everything is reported on it.
func (c *core) welcome(s *stream, w *ingotv1.Welcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.look(withCounters)
	before := c.state.Standing()
	first := !s.welcomed
	wasLeading := s.replica.Leading()
	c.state.Welcome(s.replica, w)
	s.welcomed = true
	l := c.link(s.address, s.endpoint)
	l.stream, l.replica, l.lineage, l.lastError = s, w.GetReplica(), w.GetLineage(), ""
	if first {
		l.since = time.Now()
		s.out.report(full, full)
		if c.leaving {
			s.out.leave()
		}
		if c.standing != nil {
			s.out.add(&ingotv1.Report{Standing: c.standing})
		}
		c.log.Info("connected to the centre", "event", "centreConnected", "endpoint", s.address,
			"replica", w.GetReplica(), "leading", w.GetLeading(), "epoch", w.GetEpoch(), "lineage", w.GetLineage())
	} else if wasLeading != w.GetLeading() {
		c.log.Info("leadership of the centre changed", "event", "centreLeadership", "endpoint", s.address,
			"replica", w.GetReplica(), "leading", w.GetLeading(), "epoch", w.GetEpoch())
	}
	if c.state.Standing() != before {
		c.save()
	}
	c.noteRefusal()
}

// closed forgets a connection and notes why it ended. It says whether that is news for the log.
func (c *core) closed(s *stream, err error) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
	l := c.link(s.address, s.endpoint)
	if l.stream == s {
		l.stream, l.since, news = nil, time.Now(), true
	}
	if text := err.Error(); l.lastError != text {
		l.lastError, news = text, true
	}
	c.noteRefusal()
	return news
}

// known begins to show an address of the centre.
func (c *core) known(endpoint, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link(address, endpoint)
}

// forget ceases to show an address that is no longer the centre's.
func (c *core) forget(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.links, address)
}

func (c *core) link(address, endpoint string) *link {
	l, ok := c.links[address]
	if !ok {
		l = &link{endpoint: endpoint, since: time.Now()}
		c.links[address] = l
	}
	return l
}

// twin says whether another connection reaches the replica that address last reached: two names for one replica,
// which admits one stream of a node only.
func (c *core) twin(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	self, ok := c.links[address]
	if !ok || self.replica == "" {
		return false
	}
	for other, l := range c.links {
		if other != address && l.stream != nil && l.replica == self.replica {
			return true
		}
	}
	return false
}

// noteRefusal works out whether the centre is obeyed, and logs when that changes. A deposed leader that is refused
// does not count while its successor is obeyed.
func (c *core) noteRefusal() {
	reason, refusal, from := "", ingotv1.Refusal_REFUSAL_UNSPECIFIED, ""
	for s := range c.streams {
		if !s.replica.Leading() {
			continue
		}
		bad := s.replica.Refused()
		if bad == nil {
			if s.replica.Obeyed() && s.replica.Epoch() == c.state.Standing().Epoch {
				reason, refusal, from = "", ingotv1.Refusal_REFUSAL_UNSPECIFIED, ""
				c.confirmed = true
				break
			}
			continue
		}
		if from == "" || s.address < from {
			reason, refusal, from = bad.Message, bad.Code, s.address
		}
	}
	c.tellStanding(refusal, reason)
	if reason == c.refusing {
		return
	}
	if c.refusing = reason; reason != "" {
		c.log.Warn("not obeying the centre; announcements stay as they are", "event", "centreRefused",
			"endpoint", from, "refusal", refusalName(refusal), "reason", reason)
		return
	}
	c.log.Info("no longer refusing the centre", "event", "centreObeyed")
}

// tellStanding tells every replica whom the speaker obeys, when that has changed.
func (c *core) tellStanding(refusal ingotv1.Refusal, why string) {
	st := c.state.Standing()
	now := &ingotv1.Standing{
		Lineage: st.Lineage, Epoch: st.Epoch, Revision: st.Revision, Adoption: st.Adoption,
		Confirmed: c.confirmed, Refusal: refusal, Message: why,
	}
	if proto.Equal(now, c.standing) {
		return
	}
	c.standing = now
	for s := range c.streams {
		if s.welcomed {
			s.out.add(&ingotv1.Report{Standing: now})
		}
	}
}

// refusalName is the name of a refusal in metrics and logs.
func refusalName(r ingotv1.Refusal) string {
	switch r {
	case ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE:
		return "foreignLineage"
	case ingotv1.Refusal_REFUSAL_OLD_EPOCH:
		return "oldEpoch"
	case ingotv1.Refusal_REFUSAL_HELD_BACK:
		return "heldBack"
	case ingotv1.Refusal_REFUSAL_PROTOCOL:
		return "protocol"
	}
	return "other"
}

// deposed says whether a replica that says it leads has a successor: it may have stood still and not know yet.
func (c *core) deposed(s *stream) bool {
	for other := range c.streams {
		if other.replica.Leading() && c.state.Succeeds(other.replica, s.replica) {
			return true
		}
	}
	return false
}

// roundTrip takes in that a heartbeat of ours, sent at began, came back on s after everything that was sent before it was
// obeyed. It counts if the replica leads and is obeyed: others may know less.
func (c *core) roundTrip(s *stream, began time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := s.replica
	if began == 0 || !r.Leading() || !r.Synced(ingotv1.Lane_LANE_LAYER2) || r.Epoch() != c.state.Standing().Epoch || c.deposed(s) {
		return
	}
	for _, announcer := range c.announcers {
		if l, ok := announcer.(centreListener); ok {
			l.Centre(began)
		}
	}
}

// streamStates returns what is known of each address of the centre, in their order.
func (c *core) streamStates() []*ingotv1.StreamState {
	var out []*ingotv1.StreamState
	for address, l := range c.links {
		out = append(out, &ingotv1.StreamState{
			Endpoint:  address,
			Connected: l.stream != nil,
			Leading:   l.stream != nil && l.stream.replica.Leading() && !c.deposed(l.stream),
			Replica:   l.replica,
			Since:     timestamppb.New(l.since),
			LastError: l.lastError,
			Lineage:   l.lineage,
		})
	}
	slices.SortFunc(out, func(a, b *ingotv1.StreamState) int {
		return strings.Compare(a.GetEndpoint(), b.GetEndpoint())
	})
	return out
}
