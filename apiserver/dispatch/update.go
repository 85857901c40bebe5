package dispatch

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// maxItems and maxBytes bound one update; the speaker's limit for a message is 4 MiB.
	maxItems = 1000
	maxBytes = 1 << 20
	// perEntry is what an entry of an update costs beside its strings, at most.
	perEntry = 16
)

// unexplained is said of what leaves a plan for reasons that were not kept.
const unexplained = "no longer planned for this node"

// room is the number of bytes that an update may still carry. The first entry always fits.
type room struct {
	bytes int
	used  bool
}

func (r *room) take(bytes int) bool {
	if r.used && r.bytes < bytes+perEntry {
		return false
	}
	r.bytes -= bytes + perEntry
	r.used = true
	return true
}

// update returns an empty one in the name of by.
func (by *stamp) update() *ingotv1.Update {
	return &ingotv1.Update{
		Lineage:    by.lineage,
		Epoch:      by.epoch,
		Revision:   by.revision,
		Adoption:   by.adoption.TimeMs,
		Supersedes: by.adoption.Supersedes,
	}
}

// difference returns the next part of what leads from held to o, or nil when there is nothing to say. Sessions go
// before what travels on them, and additions before removals. adoption is the newest one that the speaker knows: a
// newer one is worth an update of its own, or a later mistake would pass for adopted.
func difference(o *order, held map[string]holding, adoption uint64, explain func(string) (string, bool)) *ingotv1.Update {
	var upserts []*ingotv1.Item
	for id, item := range o.items {
		if h, ok := held[id]; !ok || h.digest != item.GetDigest() {
			upserts = append(upserts, item)
		}
	}
	var removals []string
	for id, h := range held {
		if _, wanted := o.items[id]; !wanted && !h.stuck {
			removals = append(removals, id)
		}
	}
	if len(upserts) == 0 && len(removals) == 0 && o.adoption.TimeMs <= adoption {
		return nil
	}
	slices.SortFunc(upserts, sessionsFirst)
	slices.Sort(removals)

	u := o.update()
	r := room{bytes: maxBytes}
	for _, item := range upserts {
		if len(u.Upserts) == maxItems || !r.take(proto.Size(item)) {
			return u
		}
		u.Upserts = append(u.Upserts, item)
	}
	for _, id := range removals {
		reason, ok := explain(id)
		if !ok {
			reason = unexplained
		}
		if len(u.Upserts)+len(u.Removals) >= maxItems || !r.take(len(id)+len(reason)) {
			return u
		}
		u.Removals = append(u.Removals, &ingotv1.Removal{Id: id, Reason: reason})
	}
	return u
}

func sessionsFirst(a, b *ingotv1.Item) int {
	rank := func(i *ingotv1.Item) int {
		switch i.GetContent().(type) {
		case *ingotv1.Item_BgpSession:
			return 0
		case *ingotv1.Item_BgpGuard: // routes are judged by it
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.GetId(), b.GetId()))
}

// sequence is a full state on its way: one or more updates that together name everything a node shall have.
type sequence struct {
	by       *order
	before   map[string]holding
	upserts  []*ingotv1.Item
	kept     []string
	removals []*ingotv1.Removal
	begun    bool
	// held is what the speaker will hold when it has taken the whole.
	held map[string]holding
}

// newSequence begins the full state o for a speaker that holds what held says. What it holds with the right digest
// is only listed. Of what it shall drop, what can be explained is named; the rest it drops for not being named, unless
// that would be too much.
func newSequence(o *order, held map[string]holding, explain func(string) (string, bool)) *sequence {
	s := &sequence{by: o, before: held, held: make(map[string]holding, len(o.items))}
	for id, item := range o.items {
		if h, ok := held[id]; ok && !h.hearsay && h.digest == item.GetDigest() {
			s.kept = append(s.kept, id)
			continue
		}
		s.upserts = append(s.upserts, item)
	}
	for id := range held {
		if _, wanted := o.items[id]; wanted {
			continue
		}
		if reason, ok := explain(id); ok {
			s.removals = append(s.removals, &ingotv1.Removal{Id: id, Reason: reason})
		}
	}
	slices.SortFunc(s.upserts, sessionsFirst)
	slices.Sort(s.kept)
	slices.SortFunc(s.removals, func(a, b *ingotv1.Removal) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return s
}

// next returns the next update of the sequence.
func (s *sequence) next() *ingotv1.Update {
	u := s.by.update()
	u.FullBegin, s.begun = !s.begun, true
	r := room{bytes: maxBytes}
	for len(s.upserts) > 0 && len(u.Upserts) < maxItems && r.take(proto.Size(s.upserts[0])) {
		u.Upserts, s.upserts = append(u.Upserts, s.upserts[0]), s.upserts[1:]
	}
	for len(s.upserts) == 0 && len(s.kept) > 0 && r.take(len(s.kept[0])) {
		u.Kept, s.kept = append(u.Kept, s.kept[0]), s.kept[1:]
	}
	for len(s.upserts)+len(s.kept) == 0 && len(s.removals) > 0 && r.take(proto.Size(s.removals[0])) {
		u.Removals, s.removals = append(u.Removals, s.removals[0]), s.removals[1:]
	}
	u.FullEnd = len(s.upserts)+len(s.kept)+len(s.removals) == 0
	return u
}

// taken notes what the speaker acknowledged of the sequence. Results may come with any of its updates: a speaker
// applies the whole at the end.
func (s *sequence) taken(u *ingotv1.Update, results map[string]*ingotv1.ItemResult) {
	for _, item := range u.GetUpserts() {
		s.held[item.GetId()] = judge(item, nil)
	}
	for _, id := range u.GetKept() {
		h := s.before[id]
		h.item, h.stuck = s.by.items[id], false
		s.held[id] = h
	}
	for _, r := range u.GetRemovals() {
		if result := results[r.GetId()]; result.GetStatus() == ingotv1.ItemResult_STATUS_REJECTED {
			h := s.before[r.GetId()]
			h.stuck, h.status, h.reason = true, result.GetStatus(), result.GetReason()
			s.held[r.GetId()] = h
		}
	}
	for id, r := range results {
		if h, ok := s.held[id]; ok && !h.stuck && (r.GetDigest() == "" || r.GetDigest() == h.digest) {
			h.status, h.reason = r.GetStatus(), r.GetReason()
			s.held[id] = h
		}
	}
}
