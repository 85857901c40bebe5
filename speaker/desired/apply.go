package desired

import (
	"fmt"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Removed is an item that an update dropped.
type Removed struct {
	Held Held
	// Reason is the centre's, or says that a full state no longer names the item.
	Reason string
}

// Outcome is what became of one update.
type Outcome struct {
	// Ack answers the update. Its results are complete for a refusal; otherwise they come from Results.
	Ack *ingotv1.Ack
	// Committed says that the items of Ack.Lane are now as the centre wants them. It is false for a refusal and
	// inside a full state that has not ended.
	Committed bool
	// Changed are the ids of items added or replaced, in the order of the update.
	Changed []string
	// Removed are the items that the node no longer has.
	Removed []Removed
	// absent are removals of what the node did not have; they count as done.
	absent []string
}

// Refused says whether the update as a whole was refused.
func (o Outcome) Refused() bool { return o.Ack.GetRefusal() != ingotv1.Refusal_REFUSAL_UNSPECIFIED }

// Apply judges one update of r and, if it is obeyed, takes it in.
func (s *State) Apply(r *Replica, u *ingotv1.Update) Outcome {
	ack := &ingotv1.Ack{Lane: u.GetLane(), Nonce: u.GetNonce()}
	commit, bad := s.judge(r, u)
	if bad != nil {
		ack.Refusal, ack.Message = bad.Code, bad.Message
		if c := r.cursors[u.GetLane()]; c != nil {
			c.refused, c.open = bad, nil
		}
	}
	out := Outcome{Ack: ack}
	if commit != nil {
		s.commit(r, u, commit, &out)
	}
	ack.Lineage, ack.Epoch = s.standing.Lineage, s.standing.Epoch
	ack.Revision, ack.Adoption = s.standing.Revision, s.standing.Adoption
	return out
}

// judge decides on one update and buffers it when it is part of a full state. It returns what is to be committed
// now, if anything.
func (s *State) judge(r *Replica, u *ingotv1.Update) (*change, *Refused) {
	c := r.cursors[u.GetLane()]
	if c == nil {
		return nil, protocol("lane %d is unknown", u.GetLane())
	}
	if bad := c.advance(u.GetNonce()); bad != nil {
		return nil, bad
	}
	if !r.leading {
		return nil, protocol("replica %q does not lead", r.name)
	}
	full := u.GetFullBegin() || u.GetFullEnd() || c.open != nil
	if bad := s.entitled(u, full); bad != nil {
		return nil, bad
	}
	if !full {
		if c.refused != nil {
			return nil, c.refused
		}
		if !c.synced {
			return nil, protocol("%v: a change before the full state", u.GetLane())
		}
		ch := newChange(u)
		if bad := ch.add(u); bad != nil {
			return nil, bad
		}
		return ch, nil
	}

	switch {
	case u.GetFullBegin() && c.open != nil:
		return nil, protocol("%v: a full state begins inside another", u.GetLane())
	case u.GetFullBegin():
		c.open = newChange(u)
		c.open.full = true
	case c.open == nil:
		if c.refused != nil {
			return nil, c.refused
		}
		return nil, protocol("%v: a full state ends that did not begin", u.GetLane())
	}
	if bad := c.open.add(u); bad != nil {
		return nil, bad
	}
	if !u.GetFullEnd() {
		return nil, nil
	}
	ch := c.open
	c.open = nil
	if bad := s.brake(r, u, ch); bad != nil {
		return nil, bad
	}
	return ch, nil
}

// entitled says why the sender of u is not to be obeyed, if it is not. Only a full state can use an adoption: a
// change is relative to what another centre may have put here.
func (s *State) entitled(u *ingotv1.Update, full bool) *Refused {
	if u.GetLineage() == "" {
		return protocol("the update has no lineage")
	}
	adopted := full && u.GetAdoption() > s.standing.Adoption
	switch {
	case s.standing.Lineage == "":
	case u.GetLineage() != s.standing.Lineage:
		if !adopted || !slices.Contains(u.GetSupersedes(), s.standing.Lineage) {
			return &Refused{ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE, fmt.Sprintf(
				"this node obeys lineage %q, not %q; if the new store replaces the old one, restore its configuration, then run: apiserver adopt",
				s.standing.Lineage, u.GetLineage())}
		}
	case u.GetEpoch() < s.standing.Epoch && !adopted:
		return &Refused{ingotv1.Refusal_REFUSAL_OLD_EPOCH, fmt.Sprintf(
			"epoch %d is older than %d, which this node has seen", u.GetEpoch(), s.standing.Epoch)}
	}
	return nil
}

// brakeFloor is how many unexplained withdrawals a full state may always bring.
const brakeFloor = 10

// brake holds back a full state that would drop more than half of what the lane holds, and more than brakeFloor,
// without explaining it: a lane cannot hide its losses behind the size of the other. Nor can they share a loss so that
// neither shows it: what the replica's full states have dropped so far is judged together, by what the node held.
// It also checks what the full state says the node has.
func (s *State) brake(r *Replica, u *ingotv1.Update, ch *change) *Refused {
	ln := s.lanes[u.GetLane()]
	for _, id := range ch.kept {
		h, ok := ln.items[id]
		switch {
		case !ok:
			return protocol("%v: item %q is to be kept, but this node does not have it", u.GetLane(), id)
		case h.changedBy != nil && h.changedBy != r && h.changedAt > r.knows:
			return protocol("%v: item %q is to be kept, but changed since this stream's hello", u.GetLane(), id)
		}
	}
	dropped := 0
	for id := range ln.items {
		if _, named := ch.named[id]; !named {
			dropped++
		}
	}
	if u.GetAdoption() > ln.adoption {
		return nil
	}
	held := r.dropped
	for _, other := range s.lanes {
		held += len(other.items)
	}
	for _, of := range []struct{ dropped, held int }{{dropped, len(ln.items)}, {r.dropped + dropped, held}} {
		if dropped > 0 && of.dropped > brakeFloor && 2*of.dropped > of.held {
			return &Refused{ingotv1.Refusal_REFUSAL_HELD_BACK, fmt.Sprintf(
				"the full state would drop %d of %d items without explaining why; if that is meant, run: apiserver adopt",
				of.dropped, of.held)}
		}
	}
	return nil
}

// commit takes an obeyed change in.
func (s *State) commit(r *Replica, u *ingotv1.Update, ch *change, out *Outcome) {
	ln := s.lanes[u.GetLane()]
	s.version++
	for _, item := range ch.upserts {
		s.upsert(r, u.GetLane(), item)
		out.Changed = append(out.Changed, item.GetId())
	}
	for _, rm := range ch.removals {
		h, ok := ln.items[rm.GetId()]
		if !ok {
			out.absent = append(out.absent, rm.GetId())
			continue
		}
		delete(ln.items, rm.GetId())
		out.Removed = append(out.Removed, Removed{Held: *h, Reason: rm.GetReason()})
	}
	if ch.full {
		for _, h := range s.Held(u.GetLane()) {
			if _, named := ch.named[h.Item.GetId()]; !named {
				delete(ln.items, h.Item.GetId())
				if u.GetAdoption() <= ln.adoption {
					r.dropped++
				}
				out.Removed = append(out.Removed, Removed{Held: h, Reason: "no longer named by the centre"})
			}
		}
	}
	out.Committed = true

	c := r.cursors[u.GetLane()]
	c.refused = nil
	c.synced = c.synced || ch.full
	replaced := s.standing.Lineage != u.GetLineage() || u.GetEpoch() < s.standing.Epoch
	s.standing.Lineage, s.standing.Epoch = u.GetLineage(), u.GetEpoch()
	if replaced || u.GetRevision() > s.standing.Revision {
		s.standing.Revision = u.GetRevision()
	}
	s.standing.Adoption = max(s.standing.Adoption, u.GetAdoption())
	// A word said while nothing was refused must not release the brake for some later accident.
	for l, c := range r.cursors {
		if c.synced {
			s.lanes[l].adoption = max(s.lanes[l].adoption, u.GetAdoption())
		}
	}
}

// upsert puts item in place. A kind that this program does not know is held as rejected, so that the centre sees
// the skew of versions and does not send it again; what the id stood for before stays.
func (s *State) upsert(r *Replica, l ingotv1.Lane, item *ingotv1.Item) {
	items := s.lanes[l].items
	h := &Held{Item: item, changedBy: r, changedAt: s.version}
	if old, ok := items[item.GetId()]; ok {
		h.Good = old.Good
		if old.Status == ingotv1.ItemResult_STATUS_APPLIED || old.Status == ingotv1.ItemResult_STATUS_PENDING {
			h.Good = old.Item
		}
	}
	if laneOf(item) == ingotv1.Lane_LANE_UNSPECIFIED {
		h.Status = ingotv1.ItemResult_STATUS_REJECTED
		h.Reason = "this version of the speaker does not know this kind of item"
	}
	items[item.GetId()] = h
}

// Results completes the answer to a committed update once announcers were asked and Record has noted what they
// said. removals are results that announcers gave for removed items; what they do not mention is gone.
func (s *State) Results(out Outcome, removals []*ingotv1.ItemResult) []*ingotv1.ItemResult {
	var results []*ingotv1.ItemResult
	for _, id := range out.Changed {
		if h, ok := s.Get(out.Ack.GetLane(), id); ok {
			results = append(results, h.Result())
		}
	}
	said := map[string]*ingotv1.ItemResult{}
	for _, r := range removals {
		said[r.GetId()] = r
	}
	for _, rm := range out.Removed {
		id := rm.Held.Item.GetId()
		if r, ok := said[id]; ok {
			results = append(results, r)
			continue
		}
		results = append(results, &ingotv1.ItemResult{
			Id: id, Digest: rm.Held.Item.GetDigest(), Status: ingotv1.ItemResult_STATUS_REMOVED,
		})
	}
	for _, id := range out.absent {
		results = append(results, &ingotv1.ItemResult{Id: id, Status: ingotv1.ItemResult_STATUS_REMOVED})
	}
	return results
}
