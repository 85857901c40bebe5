package dispatch

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// forgetAfter is how long a node without a stream and without a Node object is remembered.
const forgetAfter = 10 * time.Minute

// nodes is what this replica knows of every node whose speaker ever connected to it.
type nodes struct {
	// changed is called when a fact that the planner reads has changed; urgent when an address waits for the next plan.
	changed, urgent func()
	now             func() time.Time

	mu     sync.Mutex
	byName map[string]*node
	// hellos counts the streams that began.
	hellos uint64
	// reunited is when a speaker connected after there was none: until then this process was cut off, or starting.
	reunited time.Time
	// followers hear which nodes have changed.
	followers map[*Follower]struct{}
	// plans are those last made, also by a replica that does not lead.
	plans map[string]*plan.NodePlan
	// paces are how often nodes are told to ask, by the ID of the segment's item.
	paces map[string]map[string]segment.Pace
}

// node is what is known of one node. nodes.mu guards all but name, which never changes.
type node struct {
	name   string
	stream *stream // nil when there is none
	since  time.Time
	// holds are the layer-2 addresses that the node says it owns, with their terms.
	holds map[netip.Addr]uint64
	// waits are those of holds that it does not answer for yet.
	waits map[netip.Addr]bool
	// stands are the addresses that it says it stands by for, vacant those of them that it found without an owner, and
	// taken those that it took over by itself, with its terms.
	stands    map[netip.Addr]bool
	vacant    map[netip.Addr]bool
	taken     map[netip.Addr]uint64
	announced announced
	bgp       bgpAnnounced
	failed    failed
	// rejected is why items cannot be done, as the speaker said.
	rejected map[string]string
	unacked  map[ingotv1.Lane]time.Time
	state    NodeState
	sessions map[string]*ingotv1.SessionReport
	layer2   map[string]*ingotv1.Layer2Report
	links    map[string]*ingotv1.LinkReport
	bfd      map[string]*ingotv1.BfdReport
	segments map[string]*ingotv1.SegmentReport
	// revision counts the changes of what links, segments and layer2 say; said is they as of a revision.
	revision uint64
	said     statement
}

func newNodes(changed, urgent func(), now func() time.Time) *nodes {
	return &nodes{changed: changed, urgent: urgent, now: now, byName: map[string]*node{}, followers: map[*Follower]struct{}{}}
}

// attach makes s the stream of its node. The stream that was it before is superseded.
func (n *nodes) attach(s *stream, hello *ingotv1.Hello) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.changed()
	if !n.anybody() {
		n.reunited = n.now()
	}
	name := hello.GetNode()
	x := n.byName[name]
	if x == nil {
		x = &node{name: name, sessions: map[string]*ingotv1.SessionReport{}, layer2: map[string]*ingotv1.Layer2Report{}, links: map[string]*ingotv1.LinkReport{},
			bfd: map[string]*ingotv1.BfdReport{}, segments: map[string]*ingotv1.SegmentReport{}}
		n.byName[name] = x
	}
	if x.stream != nil {
		close(x.stream.aborted)
	}
	n.hellos++
	s.node, s.hello, x.stream, x.since = x, n.hellos, s, n.now()
	x.holds, x.waits, x.stands = held(hello.GetHeld())
	x.vacant, x.taken = map[netip.Addr]bool{}, map[netip.Addr]uint64{}
	x.announced.restart(hello.GetHeld())
	x.bgp.restart(hello.GetHeld(), n.find(name))
	x.failed.restart(hello.GetHeld())
	x.rejected = rejectedOf(hello.GetHeld())
	x.unacked = map[ingotv1.Lane]time.Time{}
	x.state = NodeState{
		Node: name, Instance: hello.GetInstance(), Version: hello.GetVersion(), BootID: hello.GetBootId(),
		Lineage: hello.GetLineage(), Epoch: hello.GetEpoch(), Revision: hello.GetRevision(), Adoption: hello.GetAdoption(),
		Refusals: map[ingotv1.Lane]Refusal{}, Observed: x.state.Observed,
	}
	n.touch(name)
}

// heard is the number of the last hello.
func (n *nodes) heard() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hellos
}

// anybody says whether any speaker is connected.
func (n *nodes) anybody() bool {
	for _, x := range n.byName {
		if x.stream != nil {
			return true
		}
	}
	return false
}

// detach ends s, if it is still the stream of its node.
func (n *nodes) detach(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.node.stream == s {
		s.node.stream, s.node.since = nil, n.now()
		clear(s.node.unacked)
		n.touch(s.node.name)
		n.changed()
	}
}

// current calls f with the node of s, unless another stream took it over.
func (n *nodes) current(s *stream, f func(*node)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.node.stream == s {
		f(s.node)
		n.touch(s.node.name)
	}
}

// settle takes what became of items on the node of s, and returns the announcements that begin with it, and those
// that turned out to be impossible.
func (n *nodes) settle(s *stream, outcomes []outcome) (begun []announcement, failures []failure) {
	n.current(s, func(x *node) {
		moved, released := false, false
		for _, o := range outcomes {
			owned := len(x.holds)
			moved = x.settleHold(o) || moved
			released = released || len(x.holds) < owned
			begun = append(begun, x.announced.settle(o)...)
			before := x.rejected[o.id]
			x.settleRejected(o)
			x.bgp.settle(o, n.find(x.name))
			if _, ok := plan.SessionPeer(o.id); ok && before != x.rejected[o.id] {
				moved = true // the conditions of the peer tell
			}
			if why := x.hindrance(o); x.failed.settle(o.id, why) {
				failures = append(failures, failure{item: o.item, id: o.id, why: why})
			}
		}
		switch {
		case released:
			n.urgent()
		case moved:
			n.changed()
		}
	})
	return begun, failures
}

// begins says that a node begins to announce a layer-2 address, whatever was known of it.
func (n *nodes) begins(name string, addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if x := n.byName[name]; x != nil {
		x.announced.begins(plan.Layer2ID(addr))
	}
}

// setObeyed notes what the speaker says it obeys.
func (n *nodes) setObeyed(s *stream, ack *ingotv1.Ack) {
	n.current(s, func(x *node) {
		x.state.Lineage, x.state.Epoch = ack.GetLineage(), ack.GetEpoch()
		x.state.Revision, x.state.Adoption = ack.GetRevision(), ack.GetAdoption()
	})
}

// setUnacked notes since when an update waits for its ack; the zero time means that none does.
func (n *nodes) setUnacked(s *stream, lane ingotv1.Lane, since time.Time) {
	n.current(s, func(x *node) {
		if since.IsZero() {
			delete(x.unacked, lane)
		} else {
			x.unacked[lane] = since
		}
	})
}

// setRefusal notes that the speaker refused. It says whether that is news: a refusal stands until an update is taken.
func (n *nodes) setRefusal(s *stream, lane ingotv1.Lane, r *refusal) (news bool) {
	n.current(s, func(x *node) {
		before, refused := x.state.Refusals[lane]
		now := Refusal{Kind: r.kind, Message: r.message, Since: r.at}
		news = !refused || before.Kind != now.Kind
		if !news {
			now.Since = before.Since
		}
		x.state.Refusals[lane] = now
	})
	return news
}

// obeyed notes that the speaker took an update.
func (n *nodes) obeyed(s *stream, lane ingotv1.Lane) {
	n.current(s, func(x *node) { delete(x.state.Refusals, lane) })
}

// wakeAll makes every stream look for something to send.
func (n *nodes) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.byName {
		if x.stream != nil {
			x.stream.wakeUp()
		}
	}
}

// lineages are those that connected speakers obey.
func (n *nodes) lineages() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]bool{}
	for _, x := range n.byName {
		if x.stream != nil {
			all[x.state.Lineage] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// forget drops nodes that are gone for long and not among those that exist.
func (n *nodes) forget(exists func(name string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	maps.DeleteFunc(n.byName, func(name string, x *node) bool {
		gone := x.stream == nil && now.Sub(x.since) > forgetAfter && !exists(name)
		if gone {
			n.touch(name)
		}
		return gone
	})
}
