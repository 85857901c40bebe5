package dispatch

import (
	"maps"
	"slices"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// NodeState is what this replica last heard of one node. It is a copy; the reports in it are shared.
type NodeState struct {
	Node string
	// Connected says whether its stream is up; Since is when it came up or went.
	Connected bool
	Since     time.Time
	Instance  string
	Version   string
	BootID    string
	// Lineage, Epoch, Revision and Adoption are what the speaker obeys.
	Lineage  string
	Epoch    uint64
	Revision int64
	Adoption uint64
	// Refusals are the lanes in which it refuses what it is told.
	Refusals map[ingotv1.Lane]Refusal
	// Standing is whom the speaker says it obeys; nil until it has said so on this stream.
	Standing *ingotv1.Standing
	// Rejected is why the node cannot do what items say, by their ids; empty where it did not say why.
	Rejected map[string]string
	// Unacked is since when an update waits for its answer; zero when none does. Only the replica that leads knows.
	Unacked time.Time
	// Observed is when it last reported. What follows is as of then.
	Observed time.Time
	// Reported says that it has done so on this stream.
	Reported bool
	Sessions []*ingotv1.SessionReport
	Layer2   []*ingotv1.Layer2Report
	Links    []*ingotv1.LinkReport
	BFD      []*ingotv1.BfdReport
	Segments []*ingotv1.SegmentReport
	// Leaving says that the speaker is about to stop in an orderly way.
	Leaving bool
}

// Refusal is why a speaker does not obey.
type Refusal struct {
	Kind    ingotv1.Refusal
	Message string
	Since   time.Time
}

// Nodes returns what is known of every node, sorted by name. Nodes whose stream is gone are among them, as they last
// were.
func (h *Hub) Nodes() []NodeState { return h.nodes.states() }

func (n *nodes) states() []NodeState {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]NodeState, 0, len(n.byName))
	for _, x := range n.byName {
		all = append(all, x.copy())
	}
	slices.SortFunc(all, func(a, b NodeState) int { return strings.Compare(a.Node, b.Node) })
	return all
}

// Node returns what is known of one node, if its speaker ever connected.
func (h *Hub) Node(name string) (NodeState, bool) {
	h.nodes.mu.Lock()
	defer h.nodes.mu.Unlock()
	x, ok := h.nodes.byName[name]
	if !ok {
		return NodeState{}, false
	}
	return x.copy(), true
}

// copy is what others may read of the node. The caller holds nodes.mu.
func (x *node) copy() NodeState {
	s := x.state
	s.Connected, s.Since = x.stream != nil, x.since
	s.Refusals = maps.Clone(s.Refusals)
	s.Rejected = maps.Clone(x.rejected)
	for _, since := range x.unacked {
		if s.Unacked.IsZero() || since.Before(s.Unacked) {
			s.Unacked = since
		}
	}
	s.Sessions = sortedValues(x.sessions)
	s.Layer2 = sortedValues(x.layer2)
	s.Links = sortedValues(x.links)
	s.BFD = sortedValues(x.bfd)
	s.Segments = sortedValues(x.segments)
	return s
}

func sortedValues[V any](m map[string]V) []V {
	values := make([]V, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[key])
	}
	return values
}

// observe takes a report.
func (n *nodes) observe(s *stream, r *ingotv1.Report, now time.Time) {
	n.current(s, func(x *node) {
		news := x.news(r)
		x.state.Observed = now
		x.state.Reported = x.state.Reported || r.GetFull()
		if standing := r.GetStanding(); standing != nil {
			x.state.Standing = standing
		}
		if r.GetFull() {
			clear(x.sessions)
			clear(x.layer2)
			clear(x.links)
			clear(x.bfd)
			clear(x.segments)
		}
		for _, v := range r.GetSessions() {
			x.sessions[v.GetPeer()+"\x00"+v.GetAddress()+"\x00"+v.GetVrf()] = v
		}
		for _, v := range r.GetBfd() {
			x.bfd[v.GetPeer()+"\x00"+v.GetAddress()+"\x00"+v.GetVrf()] = v
		}
		x.bgp.sessions(x.sessions)
		for _, v := range r.GetLayer2() {
			x.layer2[v.GetAddress()] = v
		}
		for _, v := range r.GetLinks() {
			x.links[v.GetName()] = v
		}
		for _, v := range r.GetSegments() {
			x.segments[v.GetInterface()] = v
		}
		if news {
			x.revision++
			n.changed()
		}
		leaves := r.GetLeaving() && !x.state.Leaving
		x.state.Leaving = x.state.Leaving || leaves
		if x.finds(r) || leaves {
			n.urgent()
		}
	})
}
