package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

const (
	// defaultInterval is between questions at rest where the centre does not say.
	defaultInterval = time.Second
	// Bounds of what the centre may say.
	minInterval, maxInterval = 50 * time.Millisecond, time.Minute
	// rareInterval is between questions to hosts that asked for our addresses, while all is well.
	rareInterval = 10 * time.Second
	// alert is how long they are asked like others after somebody wanted to know.
	alert = 5 * time.Second

	// Bounds of who is listened to on one link.
	maxPeers, maxOrdered, maxNextHops, maxAskers = 64, 16, 3, 3
)

// segment is a link that is listened on. Watcher.mu guards it.
type segment struct {
	name string
	item *ingotv1.Layer2Segment
	link links.Link
	// usable says that there is such a link, and that it can be spoken on.
	usable bool
	peers  map[string]*peer // by node
	// ordered and hops are the witnesses that the centre named and the gateways of the link's routes, askers the hosts that asked
	// for our addresses.
	ordered, hops, askers []*host
	// alerted is until when all witnesses are asked at the pace of the segment, verified when that was asked for last.
	alerted, verified time.Duration
	// admitted is when a host was last looked at that had asked for an address of ours, for the lock-free path.
	admitted atomic.Int64
}

// interval is between questions at rest.
func (s *segment) interval() time.Duration {
	if ms := s.item.GetAskIntervalMs(); ms > 0 {
		return min(max(time.Duration(ms)*time.Millisecond, minInterval), maxInterval)
	}
	return defaultInterval
}

// pace is how often a host of the segment is asked.
func (s *segment) pace(h *host, now time.Duration) pace {
	p := pace{interval: s.interval(), quiet: s.item.GetQuiet()}
	if p.quiet {
		p.interval = max(p.interval, quietInterval)
	}
	if h.source == ingotv1.WitnessReport_SOURCE_ASKER && !s.attentive(now) {
		p.interval = max(p.interval, rareInterval)
	}
	return p
}

// attentive says whether it matters right now who answers: a peer that was heard is not, or somebody wants to know.
func (s *segment) attentive(now time.Duration) bool {
	if now < s.alerted {
		return true
	}
	for _, p := range s.peers {
		if p.known && p.state() == Down {
			return true
		}
	}
	return false
}

// witnesses are all hosts that are no nodes, those first that the centre named.
func (s *segment) witnesses() []*host {
	return slices.Concat(s.ordered, s.hops, s.askers)
}

// hosts are all that are asked.
func (s *segment) hosts() []*host {
	all := s.witnesses()
	for _, p := range s.peers {
		all = append(all, p.host)
	}
	return all
}

// counts says whether a host is a witness as far as is known: nodes are none, and hosts that asked for our addresses are
// once they answered.
func (h *host) counts() bool {
	return !h.node && (h.ever || h.source != ingotv1.WitnessReport_SOURCE_ASKER)
}

// hearing says whether the witnesses are heard.
func (s *segment) hearing(now time.Duration) Hearing {
	if !s.usable {
		return None
	}
	asked, silent := 0, 0
	attentive := s.attentive(now)
	for _, h := range s.witnesses() {
		if !h.counts() {
			continue
		}
		// As long as it takes to find out that it does not answer any more.
		horizon := s.interval()*5/4 + time.Duration(h.limit(pace{}))*step + 4*step
		if s.item.GetQuiet() {
			horizon = (quietMisses + 1) * quietInterval
		}
		if h.state == ingotv1.Answer_ANSWER_ANSWERS && now-time.Duration(h.answered.Load()) <= horizon {
			return Heard
		}
		if h.source == ingotv1.WitnessReport_SOURCE_ASKER && !attentive {
			continue // what is known of it is too old to count either way
		}
		asked++
		if h.state == ingotv1.Answer_ANSWER_SILENT {
			silent++
		}
	}
	if asked > 0 && silent == asked {
		return Silent
	}
	return None
}

// own says whether an address is this node's.
func (s *segment) own(a netip.Addr) bool {
	return slices.ContainsFunc(s.link.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// report is what is told of the segment.
func (s *segment) report() *ingotv1.SegmentReport {
	r := &ingotv1.SegmentReport{Interface: s.name}
	for _, p := range s.peers {
		r.Peers = append(r.Peers, p.report())
	}
	slices.SortFunc(r.Peers, func(a, b *ingotv1.SegmentPeerReport) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	for _, h := range s.witnesses() {
		if !h.counts() {
			continue
		}
		r.Witnesses = append(r.Witnesses, &ingotv1.WitnessReport{
			Address: h.address.String(), Mac: macText(h), Answer: h.state, SinceMs: milliseconds(h.since), Source: h.source,
		})
	}
	slices.SortFunc(r.Witnesses, func(a, b *ingotv1.WitnessReport) int {
		return cmp.Or(cmp.Compare(a.GetSource(), b.GetSource()), cmp.Compare(a.GetAddress(), b.GetAddress()))
	})
	return r
}

func macText(h *host) string {
	if m := unpack(h.mac.Load()); m != (ownership.MAC{}) {
		return m.String()
	}
	return ""
}

// milliseconds is Unix time, 0 for never.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
