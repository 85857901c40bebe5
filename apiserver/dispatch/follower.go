package dispatch

import (
	"maps"
	"slices"
	"sync"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Follower hears which nodes have changed: what Hub.Node says of them, or whether their Node exists. It remembers names
// only, each once, however often they change before it is asked.
type Follower struct {
	wake chan struct{}

	mu    sync.Mutex
	dirty map[string]struct{}
}

// Follow returns a follower that hears what changes from now on.
func (h *Hub) Follow() *Follower {
	f := &Follower{wake: make(chan struct{}, 1), dirty: map[string]struct{}{}}
	h.nodes.mu.Lock()
	defer h.nodes.mu.Unlock()
	h.nodes.followers[f] = struct{}{}
	return f
}

// Unfollow ends f.
func (h *Hub) Unfollow(f *Follower) {
	h.nodes.mu.Lock()
	defer h.nodes.mu.Unlock()
	delete(h.nodes.followers, f)
}

// Changed receives when Take has something to say.
func (f *Follower) Changed() <-chan struct{} { return f.wake }

// Take returns the names of the nodes that have changed since it was called last, sorted.
func (f *Follower) Take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.Sorted(maps.Keys(f.dirty))
	clear(f.dirty)
	return names
}

func (f *Follower) add(name string) {
	f.mu.Lock()
	f.dirty[name] = struct{}{}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it is to look already
	}
}

// touch tells the followers that a node has changed. The caller holds mu.
func (n *nodes) touch(name string) {
	for f := range n.followers {
		f.add(name)
	}
}

// hostChanged tells them that a Node came to be, or is no more.
func (n *nodes) hostChanged(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.touch(name)
}

// rejectedOf picks what a speaker says it cannot do. Why, it tells in its first report.
func rejectedOf(held []*ingotv1.HeldItem) map[string]string {
	rejected := map[string]string{}
	for _, h := range held {
		if h.GetStatus() == ingotv1.ItemResult_STATUS_REJECTED {
			rejected[h.GetId()] = ""
		}
	}
	return rejected
}

// settleRejected keeps rejected up with what became of an item.
func (x *node) settleRejected(o outcome) {
	if !o.removed && o.status == ingotv1.ItemResult_STATUS_REJECTED {
		x.rejected[o.id] = o.reason
	} else {
		delete(x.rejected, o.id)
	}
}

// onlyRejected forgets what is not among the results of a full report: a replica that does not lead is not told of items
// that a full state dropped without naming them.
func (n *nodes) onlyRejected(s *stream, results []*ingotv1.ItemResult) {
	n.current(s, func(x *node) {
		still := map[string]bool{}
		for _, r := range results {
			still[r.GetId()] = true
		}
		maps.DeleteFunc(x.rejected, func(id, _ string) bool { return !still[id] })
	})
}
