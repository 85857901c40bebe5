package dispatch

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// statement is what a node reported of its segments, in a form that is shared with the judge and does not change.
type statement struct {
	// revision is that of the node when they were gathered.
	revision uint64
	links    []*ingotv1.LinkReport
	segments []*ingotv1.SegmentReport
	layer2   []*ingotv1.Layer2Report
}

// judge judges the segments by what all nodes said last, and says when to judge again though nothing is reported.
func (e *engine) judge() (v *segment.Verdicts, next time.Time) {
	began := time.Now()
	v, next = e.memory.Judge(began, e.hub.nodes.testimony())
	e.hub.metrics.judged.Observe(time.Since(began).Seconds())
	return v, next
}

// pace is how often a node was told to ask on a link, by the last plan; zero if it was not.
func (n *nodes) pace(node, link string) segment.Pace {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paces[node][plan.SegmentID(link)]
}

// keepPace takes in how often nodes are told to ask by a plan; the caller holds mu.
func (n *nodes) keepPace(plans map[string]*plan.NodePlan, now time.Time) {
	paces := make(map[string]map[string]segment.Pace, len(plans))
	for node, p := range plans {
		before := n.paces[node]
		if before != nil && n.plans[node] == p {
			paces[node] = before
			continue
		}
		paces[node] = map[string]segment.Pace{}
		for id, item := range p.Items[layer2Lane] {
			s := item.GetLayer2Segment()
			if s == nil {
				continue
			}
			asks := time.Duration(s.GetAskIntervalMs()) * time.Millisecond
			told := before[id]
			if told.Interval != asks {
				told = segment.Pace{Interval: asks, Before: told.Interval, Since: now}
			}
			paces[node][id] = told
		}
	}
	n.paces = paces
}

// testimony is what every node said last of its segments.
func (n *nodes) testimony() []segment.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]segment.Node, 0, len(n.byName))
	for _, x := range n.byName {
		if x.said.revision != x.revision {
			x.said = statement{revision: x.revision, links: sortedValues(x.links), segments: sortedValues(x.segments), layer2: sortedValues(x.layer2)}
		}
		s := segment.Node{
			Name: x.name, Since: x.since, Revision: x.revision, Leaving: x.state.Leaving,
			Links: x.said.links, Segments: x.said.segments, Layer2: x.said.layer2,
		}
		if x.stream != nil && x.state.Reported { // until then, what is known is from before
			s.Connected, s.Heard = true, x.stream.heardLast()
		}
		all = append(all, s)
	}
	return all
}

// news says whether a report changes a fact of the node's segments; counters, and since when things are as they are, are
// none.
func (x *node) news(r *ingotv1.Report) bool {
	if r.GetFull() && (!x.state.Reported || len(r.GetLinks()) != len(x.links) || len(r.GetSegments()) != len(x.segments) || len(r.GetLayer2()) != len(x.layer2)) {
		return true
	}
	return slices.ContainsFunc(r.GetLinks(), func(l *ingotv1.LinkReport) bool {
		return !proto.Equal(x.links[l.GetName()], l)
	}) || slices.ContainsFunc(r.GetSegments(), func(s *ingotv1.SegmentReport) bool {
		return !sameSegment(x.segments[s.GetInterface()], s)
	}) || slices.ContainsFunc(r.GetLayer2(), func(l *ingotv1.Layer2Report) bool {
		return !sameLayer2Facts(x.layer2[l.GetAddress()], l)
	})
}

func sameSegment(a, b *ingotv1.SegmentReport) bool {
	return a != nil && slices.EqualFunc(a.GetPeers(), b.GetPeers(), func(a, b *ingotv1.SegmentPeerReport) bool {
		return a.GetNode() == b.GetNode() && a.GetAddress() == b.GetAddress() && a.GetMac() == b.GetMac() && a.GetAnswer() == b.GetAnswer() &&
			a.GetHeard() == b.GetHeard() && a.GetBfdState() == b.GetBfdState()
	}) && slices.EqualFunc(a.GetWitnesses(), b.GetWitnesses(), func(a, b *ingotv1.WitnessReport) bool {
		return a.GetAddress() == b.GetAddress() && a.GetMac() == b.GetMac() && a.GetAnswer() == b.GetAnswer() && a.GetSource() == b.GetSource()
	})
}

func sameLayer2Facts(a, b *ingotv1.Layer2Report) bool {
	return a != nil && a.GetTerm() == b.GetTerm() && a.GetAnswering() == b.GetAnswering() && a.GetRole() == b.GetRole() && a.GetTaken() == b.GetTaken() &&
		slices.Equal(a.GetInterfaces(), b.GetInterfaces()) && (a.GetVacantSinceMs() == 0) == (b.GetVacantSinceMs() == 0) &&
		(a.GetRival() == nil) == (b.GetRival() == nil) && a.GetRival().GetMac() == b.GetRival().GetMac() &&
		a.GetRival().GetNode() == b.GetRival().GetNode() && a.GetRival().GetInterface() == b.GetRival().GetInterface()
}

// heardLast is when something of the speaker last arrived.
func (s *stream) heardLast() time.Time { return time.Unix(0, s.heard.Load()) }

// hears notes that something of the speaker arrived. If its word about others had become too old to count, so that
// somebody may have been judged without it, the segments are judged anew.
func (s *stream) hears(now time.Time) {
	silent := now.Sub(s.heardLast())
	s.heard.Store(now.UnixNano())
	if s.stalled || silent > segment.Fresh && s.pace() == heartbeatInterval {
		s.stalled = false
		s.hub.nodes.changed()
	}
}

// stalls has the segments judged anew where the speaker of a node with layer-2 addresses echoes nothing: its word about
// others no longer counts.
func (s *stream) stalls(now time.Time) {
	if !s.stalled && s.pulse.seq > s.pulse.echo && now.Sub(s.heardLast()) > segment.Fresh {
		s.stalled = true
		s.hub.nodes.changed()
	}
}
