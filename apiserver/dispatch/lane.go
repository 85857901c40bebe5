package dispatch

import (
	"fmt"
	"maps"
	"time"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// holdback is how long after a full state was held back another one is tried, if the plan has changed.
const holdback = 5 * time.Second

// lane brings one node's speaker from what it holds to what it shall have, one unacknowledged update at a time. It
// has no clock, socket or goroutine in it; its stream owns it.
type lane struct {
	id ingotv1.Lane
	// explain says why an item left the plan, if this process saw it leave.
	explain func(id string) (reason string, ok bool)

	// held is what the speaker holds, as it said first, and acknowledged or reported since.
	held map[string]holding
	// epoch is the one whose full state the speaker has taken; 0 when none.
	epoch uint64
	// adoption is the newest one that the speaker has taken.
	adoption uint64

	nonce    uint64
	sequence *sequence       // the full state under way
	inflight *ingotv1.Update // waits for its ack
	sentAt   time.Time
	refused  *refusal
	// unknown says which items, by their ids, the speaker does not know and can be without; nil for none.
	unknown func(id string) bool
	// whole is the order that fitted was made of, by leaving those out.
	whole, fitted *order
	// done is the order that needs nothing more to be sent.
	done *order
}

// holding is one item that a speaker holds.
type holding struct {
	digest string
	status ingotv1.ItemResult_Status
	reason string
	// item is what was sent; nil when only the speaker told of it.
	item *ingotv1.Item
	// stuck says that the speaker would not drop it.
	stuck bool
	// hearsay says that another leader changed it since the speaker's hello. Such an item is sent anew in a full
	// state: the speaker cannot know that this replica has heard.
	hearsay bool
}

// refusal is an update that a speaker did not obey.
type refusal struct {
	kind    ingotv1.Refusal
	message string
	at      time.Time
	// epoch and adoption are those of the update refused; full is the full state it was part of, if it was.
	epoch, adoption uint64
	full            *order
}

// over says that it makes sense to try again with order o.
func (r *refusal) over(o *order, now time.Time) bool {
	if o.epoch != r.epoch || o.adoption.TimeMs > r.adoption {
		return true
	}
	return r.kind == ingotv1.Refusal_REFUSAL_HELD_BACK && o != r.full && now.Sub(r.at) >= holdback
}

// outcome is what became of one item.
type outcome struct {
	id string
	holding
	// removed says that the speaker dropped it.
	removed bool
}

// next returns the update to send now, or nil: when one is unacknowledged, when the speaker refused and nothing
// relevant has changed, or when it holds what o says.
func (l *lane) next(o *order, now time.Time) *ingotv1.Update {
	o = l.fit(o)
	if o == nil || l.inflight != nil || o == l.done {
		return nil
	}
	if l.refused != nil {
		if !l.refused.over(o, now) {
			return nil
		}
		l.refused = nil
		l.epoch = 0
	}
	if l.epoch != o.epoch && (l.sequence == nil || l.sequence.by.epoch != o.epoch) {
		l.sequence = newSequence(o, l.held, l.explain)
	}
	var u *ingotv1.Update
	if l.sequence != nil {
		u = l.sequence.next()
	} else if u = difference(o, l.held, l.adoption, l.explain); u == nil {
		l.done = o
		return nil
	}
	l.nonce++
	u.Lane, u.Nonce = l.id, l.nonce
	l.inflight, l.sentAt = u, now
	return u
}

// concerned says whether the speaker owns layer-2 addresses, or stands by for some.
func (l *lane) concerned() bool {
	for id := range l.held {
		if !plan.IsSegment(id) {
			return true
		}
	}
	return false
}

// fit leaves out of an order what the speaker does not know.
func (l *lane) fit(o *order) *order {
	if o == nil || l.unknown == nil {
		return o
	}
	if l.whole != o {
		l.whole, l.fitted = o, &order{stamp: o.stamp, items: maps.Clone(o.items), owned: o.owned}
		maps.DeleteFunc(l.fitted.items, func(id string, _ *ingotv1.Item) bool { return l.unknown(id) })
	}
	return l.fitted
}

// acknowledged takes the answer to the update in flight, and returns what became of items. An error means that the
// speaker does not keep to the protocol, or says that the hub does not.
func (l *lane) acknowledged(ack *ingotv1.Ack, now time.Time) ([]outcome, error) {
	u := l.inflight
	if u == nil || ack.GetNonce() != u.GetNonce() {
		return nil, fmt.Errorf("ack of nonce %d in %s, but %d is unacknowledged", ack.GetNonce(), l.id, u.GetNonce())
	}
	l.inflight = nil
	switch ack.GetRefusal() {
	case ingotv1.Refusal_REFUSAL_UNSPECIFIED:
	case ingotv1.Refusal_REFUSAL_PROTOCOL:
		return nil, fmt.Errorf("the speaker says that update %d in %s does not fit the protocol: %s", u.GetNonce(), l.id, ack.GetMessage())
	default:
		l.refused = &refusal{kind: ack.GetRefusal(), message: ack.GetMessage(), at: now, epoch: u.GetEpoch(), adoption: u.GetAdoption()}
		if l.sequence != nil {
			l.refused.full = l.sequence.by
		}
		l.sequence = nil
		return nil, nil
	}
	results := make(map[string]*ingotv1.ItemResult, len(ack.GetResults()))
	for _, r := range ack.GetResults() {
		results[r.GetId()] = r
	}
	if s := l.sequence; s != nil {
		s.taken(u, results)
		if !u.GetFullEnd() {
			return nil, nil
		}
		before := l.held
		l.held, l.epoch, l.sequence = s.held, s.by.epoch, nil
		l.adoption = max(l.adoption, u.GetAdoption())
		return settled(before, l.held), nil
	}
	l.adoption = max(l.adoption, u.GetAdoption())
	return l.apply(u, results), nil
}

// apply takes the results of a difference.
func (l *lane) apply(u *ingotv1.Update, results map[string]*ingotv1.ItemResult) []outcome {
	outcomes := make([]outcome, 0, len(u.GetUpserts())+len(u.GetRemovals()))
	for _, item := range u.GetUpserts() {
		h := judge(item, results[item.GetId()])
		l.held[item.GetId()] = h
		outcomes = append(outcomes, outcome{id: item.GetId(), holding: h})
	}
	for _, r := range u.GetRemovals() {
		h := l.held[r.GetId()]
		if result := results[r.GetId()]; result.GetStatus() == ingotv1.ItemResult_STATUS_REJECTED {
			h.stuck, h.status, h.reason = true, result.GetStatus(), result.GetReason()
			l.held[r.GetId()] = h
			continue
		}
		delete(l.held, r.GetId())
		outcomes = append(outcomes, outcome{id: r.GetId(), holding: h, removed: true})
	}
	return outcomes
}

// reported takes a result that came without an ack: it changed afterwards, or it tells a replica that does not lead
// (leading is then not the epoch of this lane) what the leader did.
func (l *lane) reported(r *ingotv1.ItemResult, leading uint64) (outcome, bool) {
	h, known := l.held[r.GetId()]
	foreign := leading == 0 || l.epoch != leading
	switch {
	case r.GetStatus() == ingotv1.ItemResult_STATUS_REMOVED:
		if !known {
			return outcome{}, false
		}
		delete(l.held, r.GetId())
		l.done = nil // it is to be sent again if it is still wanted
		return outcome{id: r.GetId(), holding: h, removed: true}, true
	case known && (r.GetDigest() == "" || r.GetDigest() == h.digest):
		h.status, h.reason = r.GetStatus(), r.GetReason()
		h.hearsay = h.hearsay || foreign // the leader may have sent it anew, and with the same digest
	case foreign:
		h = holding{digest: r.GetDigest(), status: r.GetStatus(), reason: r.GetReason(), hearsay: true}
	default:
		return outcome{}, false // of content that was replaced meanwhile
	}
	l.held[r.GetId()] = h
	return outcome{id: r.GetId(), holding: h}, true
}

// judge says what a speaker holds after an upsert. What has no result yet is pending: a report will tell.
func judge(item *ingotv1.Item, r *ingotv1.ItemResult) holding {
	h := holding{digest: item.GetDigest(), item: item, status: ingotv1.ItemResult_STATUS_PENDING}
	if r != nil && (r.GetDigest() == "" || r.GetDigest() == item.GetDigest()) {
		h.status, h.reason = r.GetStatus(), r.GetReason()
	}
	return h
}

// settled says what became of items when a full state replaced before by after.
func settled(before, after map[string]holding) []outcome {
	outcomes := make([]outcome, 0, len(after))
	for id, h := range before {
		if _, ok := after[id]; !ok {
			outcomes = append(outcomes, outcome{id: id, holding: h, removed: true})
		}
	}
	for id, h := range after {
		outcomes = append(outcomes, outcome{id: id, holding: h})
	}
	return outcomes
}
