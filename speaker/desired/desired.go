// Package desired is what a node shall announce, and whom it lets change that.
//
// It is a state machine without clock, socket or goroutine: Welcome and Apply feed it what replicas of the centre
// say; it answers what is obeyed and what is refused. "A wrong centre withdraws nothing" is decided here: a foreign
// lineage, an older epoch, and a full state that would drop too much without explanation change nothing.
package desired

import (
	"fmt"
	"maps"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Lanes are the lanes of the stream, in the order in which they are applied and saved.
var Lanes = []ingotv1.Lane{ingotv1.Lane_LANE_ROUTING, ingotv1.Lane_LANE_LAYER2}

// Held is one item that the node has.
type Held struct {
	Item   *ingotv1.Item
	Status ingotv1.ItemResult_Status
	// Reason explains a status other than applied.
	Reason string
	// Good is the content that still stands in the item's place where Item itself was rejected; nil otherwise.
	Good *ingotv1.Item

	// Who changed the item, and at which State.version: a replica that said Hello before cannot know its digest.
	changedBy *Replica
	changedAt uint64
}

// effective is what announcers shall make true for h; nil when there is nothing they could understand.
func (h *Held) effective() *ingotv1.Item {
	if laneOf(h.Item) != ingotv1.Lane_LANE_UNSPECIFIED {
		return h.Item
	}
	return h.Good
}

// laneOf returns the lane that item belongs in, or unspecified for a kind that this program does not know.
func laneOf(item *ingotv1.Item) ingotv1.Lane {
	switch item.GetContent().(type) {
	case *ingotv1.Item_BgpSession, *ingotv1.Item_BgpRoute, *ingotv1.Item_BgpGuard:
		return ingotv1.Lane_LANE_ROUTING
	case *ingotv1.Item_Layer2Address, *ingotv1.Item_Layer2Segment:
		return ingotv1.Lane_LANE_LAYER2
	}
	return ingotv1.Lane_LANE_UNSPECIFIED
}

// Features are the kinds of item that this program understands, as the field names of Item.content.
func Features() []string {
	return []string{"bgp_session", "bgp_route", "layer2_address", "bgp_guard", "layer2_segment"}
}

// Standing is what the node obeys.
type Standing struct {
	// Lineage is empty until one was obeyed.
	Lineage string
	// Epoch is the highest seen within Lineage.
	Epoch uint64
	// Revision is the newest configuration revision applied within Lineage.
	Revision int64
	// Adoption is the newest obeyed, in Unix milliseconds.
	Adoption uint64
}

// State is everything that the node holds, and from whom. It is not safe for concurrent use.
type State struct {
	standing Standing
	lanes    map[ingotv1.Lane]*lane
	// version counts changes of items, so that what a replica cannot have seen is recognised.
	version uint64
}

type lane struct {
	items map[string]*Held
	// adoption is the newest that this lane has used: an operator's word releases the brake once in each lane.
	adoption uint64
}

// New returns the state of a node that has never obeyed anybody.
func New() *State {
	s := &State{lanes: map[ingotv1.Lane]*lane{}}
	for _, l := range Lanes {
		s.lanes[l] = &lane{items: map[string]*Held{}}
	}
	return s
}

// Standing returns what the node obeys.
func (s *State) Standing() Standing { return s.standing }

// Get returns the item of that id, and whether there is one.
func (s *State) Get(l ingotv1.Lane, id string) (Held, bool) {
	if ln, ok := s.lanes[l]; ok {
		if h, ok := ln.items[id]; ok {
			return *h, true
		}
	}
	return Held{}, false
}

// Held returns the items of a lane ordered by id.
func (s *State) Held(l ingotv1.Lane) []Held {
	ln, ok := s.lanes[l]
	if !ok {
		return nil
	}
	out := make([]Held, 0, len(ln.items))
	for _, id := range slices.Sorted(maps.Keys(ln.items)) {
		out = append(out, *ln.items[id])
	}
	return out
}

// Items returns what the announcers of a lane shall make true, ordered by id. Kinds that this program does not
// know are left out.
func (s *State) Items(l ingotv1.Lane) []*ingotv1.Item {
	var out []*ingotv1.Item
	for _, h := range s.Held(l) {
		if item := h.effective(); item != nil {
			out = append(out, item)
		}
	}
	return out
}

// LastGood returns, like Items, what the announcers of a lane last made true: where an item was
// rejected, the content that stayed in its place. differs says whether that is something else than Items.
func (s *State) LastGood(l ingotv1.Lane) (items []*ingotv1.Item, differs bool) {
	for _, h := range s.Held(l) {
		switch {
		case h.Good != nil:
			items = append(items, h.Good)
			differs = differs || h.effective() != h.Good
		case h.effective() != nil:
			items = append(items, h.Item)
		}
	}
	return items, differs
}

// Record notes what announcers report of items of a lane, and returns the ids whose status or reason changed, in
// the order of results. Results for other content than the lane holds are stale, and ignored.
func (s *State) Record(l ingotv1.Lane, results []*ingotv1.ItemResult) []string {
	ln, ok := s.lanes[l]
	if !ok {
		return nil
	}
	var changed []string
	for _, r := range results {
		h, ok := ln.items[r.GetId()]
		if !ok || r.GetDigest() != h.Item.GetDigest() || laneOf(h.Item) != l {
			continue
		}
		if h.Status == r.GetStatus() && h.Reason == r.GetReason() {
			continue
		}
		h.Status, h.Reason = r.GetStatus(), r.GetReason()
		if h.Status != ingotv1.ItemResult_STATUS_REJECTED {
			h.Good = nil
		}
		changed = append(changed, h.Item.GetId())
	}
	return changed
}

// Result returns the item's result as the centre shall hear it.
func (h Held) Result() *ingotv1.ItemResult {
	return &ingotv1.ItemResult{Id: h.Item.GetId(), Digest: h.Item.GetDigest(), Status: h.Status, Reason: h.Reason}
}

// Hello fills in what a speaker says of the state it holds, and notes in r that its replica will know it.
func (s *State) Hello(r *Replica, hello *ingotv1.Hello) {
	r.knows = s.version
	hello.Lineage = s.standing.Lineage
	hello.Epoch = s.standing.Epoch
	hello.Revision = s.standing.Revision
	hello.Adoption = s.standing.Adoption
	for _, l := range Lanes {
		for _, h := range s.Held(l) {
			l2 := h.Item.GetLayer2Address()
			hello.Held = append(hello.Held, &ingotv1.HeldItem{
				Lane: l, Id: h.Item.GetId(), Digest: h.Item.GetDigest(), Status: h.Status,
				Term: l2.GetTerm(), Role: l2.GetRole(),
			})
		}
	}
}

// Saved is a State as it outlives the process.
type Saved struct {
	Standing
	Lanes map[ingotv1.Lane]SavedLane
}

// SavedLane is one lane of Saved.
type SavedLane struct {
	Adoption uint64
	Items    []Held
}

// Save returns the state for keeping. It shares the items, which nobody changes.
func (s *State) Save() Saved {
	out := Saved{Standing: s.standing, Lanes: map[ingotv1.Lane]SavedLane{}}
	for _, l := range Lanes {
		out.Lanes[l] = SavedLane{Adoption: s.lanes[l].adoption, Items: s.Held(l)}
	}
	return out
}

// Restore returns the state that saved was made of. It refuses a state that could not have been saved.
func Restore(saved Saved) (*State, error) {
	s := New()
	s.standing = saved.Standing
	for l, sl := range saved.Lanes {
		ln, ok := s.lanes[l]
		if !ok {
			return nil, fmt.Errorf("lane %d is unknown", l)
		}
		ln.adoption = sl.Adoption
		for _, h := range sl.Items {
			id := h.Item.GetId()
			if id == "" {
				return nil, fmt.Errorf("%v: an item has no id", l)
			}
			if _, dup := ln.items[id]; dup {
				return nil, fmt.Errorf("%v: item %q appears twice", l, id)
			}
			if h.Good != nil && laneOf(h.Good) != l {
				return nil, fmt.Errorf("%v: what stands for item %q belongs elsewhere", l, id)
			}
			if got := laneOf(h.Item); got != l && got != ingotv1.Lane_LANE_UNSPECIFIED {
				return nil, fmt.Errorf("%v: item %q belongs in %v", l, id, got)
			}
			ln.items[id] = &Held{Item: h.Item, Status: h.Status, Reason: h.Reason, Good: h.Good}
		}
	}
	if s.standing.Lineage == "" {
		for _, ln := range s.lanes {
			if len(ln.items) > 0 {
				return nil, fmt.Errorf("items without a lineage")
			}
		}
	}
	return s, nil
}
