package desired

import (
	"fmt"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// maxItems bounds what one full state may bring, and so what a stream can make the speaker remember.
const maxItems = 200_000

// Refused says why an update as a whole was not obeyed.
type Refused struct {
	Code ingotv1.Refusal
	// Message is for people.
	Message string
}

func protocol(format string, args ...any) *Refused {
	return &Refused{ingotv1.Refusal_REFUSAL_PROTOCOL, fmt.Sprintf(format, args...)}
}

// Replica is what one stream has said so far. A new stream to the same replica is a new Replica.
type Replica struct {
	name    string
	lineage string
	epoch   uint64
	leading bool
	// knows is the State.version that this stream's Hello described.
	knows uint64
	// dropped counts what its full states have dropped without explaining why, since it began to lead.
	dropped int
	cursors map[ingotv1.Lane]*cursor
}

// cursor is where a stream stands in one lane.
type cursor struct {
	// last nonce seen.
	last uint64
	// open is a full state that has begun and not ended.
	open *change
	// refused is why the last update was not obeyed; until a full state is, changes are refused for the same reason.
	refused *Refused
	// synced says that a full state was obeyed since the replica began to lead.
	synced bool
}

// NewReplica returns a stream that has said nothing yet.
func NewReplica() *Replica {
	r := &Replica{cursors: map[ingotv1.Lane]*cursor{}}
	for _, l := range Lanes {
		r.cursors[l] = &cursor{}
	}
	return r
}

// Leading says whether the replica last said that it leads.
func (r *Replica) Leading() bool { return r.leading }

// Epoch is what the replica last said of itself.
func (r *Replica) Epoch() uint64 { return r.epoch }

// Succeeds says whether a leads later than b, in the lineage obeyed.
func (s *State) Succeeds(a, b *Replica) bool {
	return a.lineage == s.standing.Lineage && b.lineage == s.standing.Lineage && a.epoch > b.epoch
}

// Authority says whether r leads in the lineage obeyed, and nobody later was heard of. It may not have asked for anything yet.
func (s *State) Authority(r *Replica) bool {
	return r.leading && r.lineage == s.standing.Lineage && r.epoch >= s.standing.Epoch
}

// Obeyed says whether a full state was obeyed since the replica began to lead, and nothing is refused now. A lane
// that the centre has nothing to say about does not count.
func (r *Replica) Obeyed() bool {
	synced := false
	for _, c := range r.cursors {
		synced = synced || c.synced
	}
	return synced && r.Refused() == nil
}

// Synced says whether a lane's full state was obeyed since the replica began to lead, and nothing in it is refused now.
func (r *Replica) Synced(l ingotv1.Lane) bool {
	c := r.cursors[l]
	return c != nil && c.synced && c.refused == nil
}

// Refused returns why the replica is not obeyed at present; nil when it is, or has asked for nothing yet.
func (r *Replica) Refused() *Refused {
	for _, l := range Lanes {
		if bad := r.cursors[l].refused; bad != nil {
			return bad
		}
	}
	return nil
}

// Welcome takes in who answers on the stream of r. The epoch of a leader of the lineage obeyed counts from now on:
// whoever led before it is refused even if it speaks first.
func (s *State) Welcome(r *Replica, w *ingotv1.Welcome) {
	if !w.GetLeading() || !r.leading || w.GetEpoch() != r.epoch || w.GetLineage() != r.lineage {
		// Others may have been obeyed in between: a full state has to come first.
		for _, c := range r.cursors {
			c.open, c.refused, c.synced = nil, nil, false
		}
		r.dropped = 0
	}
	r.name, r.lineage, r.epoch, r.leading = w.GetReplica(), w.GetLineage(), w.GetEpoch(), w.GetLeading()
	if r.leading && r.lineage == s.standing.Lineage && s.standing.Lineage != "" {
		s.standing.Epoch = max(s.standing.Epoch, r.epoch)
	}
}

// advance checks the number of an update. After a gap the numbering goes on from there, so that a full state can
// mend what was lost; a number seen before changes nothing.
func (c *cursor) advance(nonce uint64) *Refused {
	want := c.last + 1
	if nonce > c.last {
		c.last = nonce
	}
	if nonce != want {
		return protocol("nonce %d where %d was due", nonce, want)
	}
	return nil
}

// change is one update, or the sequence of updates that make a full state.
type change struct {
	full     bool
	lineage  string
	epoch    uint64
	upserts  []*ingotv1.Item
	kept     []string
	removals []*ingotv1.Removal
	// named are the ids that the change says anything about.
	named map[string]struct{}
}

func newChange(u *ingotv1.Update) *change {
	return &change{lineage: u.GetLineage(), epoch: u.GetEpoch(), named: map[string]struct{}{}}
}

// add takes one message of the change in.
func (ch *change) add(u *ingotv1.Update) *Refused {
	if u.GetLineage() != ch.lineage || u.GetEpoch() != ch.epoch {
		return protocol("%v: lineage or epoch changed inside a full state", u.GetLane())
	}
	if len(u.GetKept()) > 0 && !ch.full {
		return protocol("%v: kept items outside a full state", u.GetLane())
	}
	for _, item := range u.GetUpserts() {
		if got := laneOf(item); got != u.GetLane() && got != ingotv1.Lane_LANE_UNSPECIFIED {
			return protocol("%v: item %q belongs in %v", u.GetLane(), item.GetId(), got)
		}
		if bad := ch.name(u, item.GetId()); bad != nil {
			return bad
		}
	}
	for _, id := range u.GetKept() {
		if bad := ch.name(u, id); bad != nil {
			return bad
		}
	}
	for _, rm := range u.GetRemovals() {
		if bad := ch.name(u, rm.GetId()); bad != nil {
			return bad
		}
	}
	ch.upserts = append(ch.upserts, u.GetUpserts()...)
	ch.kept = append(ch.kept, u.GetKept()...)
	ch.removals = append(ch.removals, u.GetRemovals()...)
	return nil
}

func (ch *change) name(u *ingotv1.Update, id string) *Refused {
	if id == "" {
		return protocol("%v: an item has no id", u.GetLane())
	}
	if _, twice := ch.named[id]; twice {
		return protocol("%v: item %q is named twice", u.GetLane(), id)
	}
	if len(ch.named) >= maxItems {
		return protocol("%v: more than %d items", u.GetLane(), maxItems)
	}
	ch.named[id] = struct{}{}
	return nil
}
