package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const routing = routingLane

var start = time.Unix(1_000_000, 0)

func route(name, digest string) *ingotv1.Item {
	return &ingotv1.Item{Id: "bgp-route/" + name, Digest: digest, Content: &ingotv1.Item_BgpRoute{BgpRoute: &ingotv1.BgpRoute{
		Prefix: name, Services: []*ingotv1.ServiceRef{{Namespace: "default", Name: "s-" + name}},
	}}}
}

func session(name, digest string) *ingotv1.Item {
	return &ingotv1.Item{Id: "bgp-session/" + name, Digest: digest, Content: &ingotv1.Item_BgpSession{BgpSession: &ingotv1.BgpSession{Peer: name}}}
}

func orderOf(epoch uint64, items ...*ingotv1.Item) *order {
	o := &order{stamp: stamp{lineage: "L", epoch: epoch, revision: 7}, items: map[string]*ingotv1.Item{}}
	for _, item := range items {
		o.items[item.GetId()] = item
	}
	return o
}

func emptyLane(reasons map[string]string) *lane {
	return &lane{id: routing, held: map[string]holding{}, explain: func(id string) (string, bool) {
		reason, ok := reasons[id]
		return reason, ok
	}}
}

// show puts an update into one line: what it names, in its order.
func show(u *ingotv1.Update) string {
	if u == nil {
		return "nothing"
	}
	var words []string
	if u.GetFullBegin() {
		words = append(words, "begin")
	}
	for _, item := range u.GetUpserts() {
		words = append(words, "+"+item.GetId()+"@"+item.GetDigest())
	}
	for _, id := range u.GetKept() {
		words = append(words, "="+id)
	}
	for _, r := range u.GetRemovals() {
		words = append(words, "-"+r.GetId()+"("+r.GetReason()+")")
	}
	if u.GetFullEnd() {
		words = append(words, "end")
	}
	return strings.Join(words, " ")
}

// applied acknowledges everything that u brings.
func applied(u *ingotv1.Update) *ingotv1.Ack {
	ack := &ingotv1.Ack{Lane: u.GetLane(), Nonce: u.GetNonce()}
	for _, item := range u.GetUpserts() {
		ack.Results = append(ack.Results, &ingotv1.ItemResult{Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED})
	}
	for _, r := range u.GetRemovals() {
		ack.Results = append(ack.Results, &ingotv1.ItemResult{Id: r.GetId(), Status: ingotv1.ItemResult_STATUS_REMOVED})
	}
	return ack
}

func refused(u *ingotv1.Update, kind ingotv1.Refusal) *ingotv1.Ack {
	return &ingotv1.Ack{Lane: u.GetLane(), Nonce: u.GetNonce(), Refusal: kind, Message: "because"}
}

func want(t *testing.T, u *ingotv1.Update, line string) {
	t.Helper()
	if got := show(u); got != line {
		t.Fatalf("next update:\n got: %s\nwant: %s", got, line)
	}
}

func take(t *testing.T, l *lane, ack *ingotv1.Ack) []outcome {
	t.Helper()
	outcomes, err := l.acknowledged(ack, start)
	if err != nil {
		t.Fatalf("acknowledged: %v", err)
	}
	return outcomes
}

func TestFullStateFirstThenDifferences(t *testing.T) {
	l := emptyLane(map[string]string{"bgp-route/b": "service default/s-b deleted"})

	u := l.next(orderOf(5, route("b", "1"), session("z", "1"), route("a", "1")), start)
	want(t, u, "begin +bgp-session/z@1 +bgp-route/a@1 +bgp-route/b@1 end")
	take(t, l, applied(u))

	u = l.next(orderOf(5, route("c", "1"), session("z", "1"), route("a", "2")), start)
	want(t, u, "+bgp-route/a@2 +bgp-route/c@1 -bgp-route/b(service default/s-b deleted)")
	take(t, l, applied(u))

	want(t, l.next(orderOf(5, route("c", "1"), session("z", "1"), route("a", "2")), start), "nothing")
}

func TestReconnectWithEqualDigestsSendsNoUpserts(t *testing.T) {
	l := emptyLane(nil)
	l.held["bgp-route/a"] = holding{digest: "1", status: ingotv1.ItemResult_STATUS_APPLIED}
	l.held["bgp-route/b"] = holding{digest: "1", status: ingotv1.ItemResult_STATUS_REJECTED}
	o := orderOf(5, route("a", "1"), route("b", "1"))

	u := l.next(o, start)
	want(t, u, "begin =bgp-route/a =bgp-route/b end")
	outcomes := take(t, l, applied(u))

	if len(outcomes) != 2 {
		t.Errorf("got %d outcomes, want one for each item kept", len(outcomes))
	}
	want(t, l.next(o, start), "nothing")
}

func TestOneUnacknowledgedAndChangesCoalesce(t *testing.T) {
	l := emptyLane(nil)
	u := l.next(orderOf(5), start)
	want(t, u, "begin end")
	take(t, l, applied(u))

	u = l.next(orderOf(5, route("a", "1")), start)
	want(t, u, "+bgp-route/a@1")
	for i := range 10 {
		want(t, l.next(orderOf(5, route("a", fmt.Sprint(i)), route("b", fmt.Sprint(i))), start), "nothing")
	}
	take(t, l, applied(u))

	want(t, l.next(orderOf(5, route("a", "9"), route("b", "9")), start), "+bgp-route/a@9 +bgp-route/b@9")
}

func TestRemovalsInAFullStateOnlyWhereExplained(t *testing.T) {
	l := emptyLane(map[string]string{"bgp-route/gone": "service default/gone deleted"})
	for _, id := range []string{"gone", "mystery", "stays"} {
		l.held["bgp-route/"+id] = holding{digest: "1", status: ingotv1.ItemResult_STATUS_APPLIED}
	}

	u := l.next(orderOf(5, route("stays", "1")), start)
	want(t, u, "begin =bgp-route/stays -bgp-route/gone(service default/gone deleted) end")
	var removed []string
	for _, o := range take(t, l, applied(u)) {
		if o.removed {
			removed = append(removed, o.id)
		}
	}

	slices.Sort(removed)
	if diff := cmp.Diff([]string{"bgp-route/gone", "bgp-route/mystery"}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

func TestRefusedFullStateIsNotRepeatedUntilSomethingRelevantChanged(t *testing.T) {
	later := func(o *order, adoption uint64) *order {
		c := *o
		c.adoption.TimeMs = adoption
		return &c
	}
	o := orderOf(5, route("a", "1"))
	for _, test := range []struct {
		kind  ingotv1.Refusal
		then  *order
		after time.Duration
		again bool
	}{
		{ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE, o, time.Hour, false},
		{ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE, orderOf(5, route("b", "1")), time.Hour, false},
		{ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE, later(o, 1), 0, true},
		{ingotv1.Refusal_REFUSAL_OLD_EPOCH, orderOf(5, route("b", "1")), time.Hour, false},
		{ingotv1.Refusal_REFUSAL_OLD_EPOCH, orderOf(6, route("a", "1")), 0, true},
		{ingotv1.Refusal_REFUSAL_HELD_BACK, o, time.Hour, false},
		{ingotv1.Refusal_REFUSAL_HELD_BACK, orderOf(5, route("b", "1")), holdback - 1, false},
		{ingotv1.Refusal_REFUSAL_HELD_BACK, orderOf(5, route("b", "1")), holdback, true},
		{ingotv1.Refusal_REFUSAL_HELD_BACK, later(o, 1), 0, true},
	} {
		l := emptyLane(nil)
		take(t, l, refused(l.next(o, start), test.kind))

		u := l.next(test.then, start.Add(test.after))
		if again := u != nil; again != test.again {
			t.Errorf("%s, then %v after %s: sent again %t, want %t", test.kind, test.then, test.after, again, test.again)
		}
		if u != nil && !u.GetFullBegin() {
			t.Errorf("%s: sent %s, want a full state", test.kind, show(u))
		}
	}
}

func TestNewEpochBeginsWithAFullStateAlsoAmidOne(t *testing.T) {
	l := emptyLane(nil)
	many := make([]*ingotv1.Item, maxItems+1)
	for i := range many {
		many[i] = route(fmt.Sprintf("%04d", i), "1")
	}
	first := l.next(orderOf(5, many...), start)
	if !first.GetFullBegin() || first.GetFullEnd() || len(first.GetUpserts()) != maxItems {
		t.Fatalf("first part has begin %t, end %t, %d items", first.GetFullBegin(), first.GetFullEnd(), len(first.GetUpserts()))
	}
	take(t, l, &ingotv1.Ack{Lane: routing, Nonce: first.GetNonce()})

	u := l.next(orderOf(6, route("a", "1")), start)
	want(t, u, "begin +bgp-route/a@1 end")
	if u.GetEpoch() != 6 || u.GetNonce() != 2 {
		t.Errorf("epoch %d, nonce %d; want 6, 2", u.GetEpoch(), u.GetNonce())
	}
}

func TestLargeFullStateComesInPartsWithResultsAtTheEnd(t *testing.T) {
	l := emptyLane(nil)
	o := orderOf(5)
	for i := range 2*maxItems + 1 {
		item := route(fmt.Sprintf("%05d", i), "1")
		o.items[item.GetId()] = item
	}
	all := &ingotv1.Ack{Lane: routing}
	parts := 0
	for {
		u := l.next(o, start)
		if u == nil {
			t.Fatal("the sequence ends without an end")
		}
		parts++
		all.Results = append(all.Results, applied(u).GetResults()...)
		if u.GetFullEnd() {
			all.Nonce = u.GetNonce()
			take(t, l, all)
			break
		}
		if got := take(t, l, &ingotv1.Ack{Lane: routing, Nonce: u.GetNonce()}); got != nil {
			t.Fatalf("outcomes before the end: %v", got)
		}
	}
	if parts != 3 {
		t.Errorf("%d parts, want 3", parts)
	}
	for id, h := range l.held {
		if h.status != ingotv1.ItemResult_STATUS_APPLIED {
			t.Fatalf("%s is %s", id, h.status)
		}
	}
	want(t, l.next(o, start), "nothing")
}

func TestUpdatesStayBelowTheSizeLimit(t *testing.T) {
	l := emptyLane(nil)
	o := orderOf(5)
	for i := range 40 {
		item := route(fmt.Sprintf("%02d", i), strings.Repeat("x", maxBytes/10))
		o.items[item.GetId()] = item
	}
	for sent := 0; sent < len(o.items); {
		u := l.next(o, start)
		size := 0
		for _, item := range u.GetUpserts() {
			size += len(item.GetDigest())
		}
		if size > maxBytes || len(u.GetUpserts()) == 0 {
			t.Fatalf("an update of %d bytes and %d items", size, len(u.GetUpserts()))
		}
		sent += len(u.GetUpserts())
		take(t, l, applied(u))
	}
}

func TestRejectedItemIsHeldAndNotSentAgain(t *testing.T) {
	l := emptyLane(nil)
	o := orderOf(5, route("a", "1"))
	u := l.next(o, start)
	ack := applied(u)
	ack.Results[0].Status, ack.Results[0].Reason = ingotv1.ItemResult_STATUS_REJECTED, "no session"
	outcomes := take(t, l, ack)

	if len(outcomes) != 1 || outcomes[0].status != ingotv1.ItemResult_STATUS_REJECTED || outcomes[0].reason != "no session" {
		t.Errorf("outcomes %+v", outcomes)
	}
	want(t, l.next(orderOf(5, route("a", "1")), start), "nothing")
	want(t, l.next(orderOf(5, route("a", "2")), start), "+bgp-route/a@2")
}

func TestAdoptionReachesSpeakersThatHaveNothingElseToHear(t *testing.T) {
	l := emptyLane(nil)
	o := orderOf(5, route("a", "1"))
	take(t, l, applied(l.next(o, start)))
	adopted := *o
	adopted.adoption = Adoption{TimeMs: 99, Supersedes: []string{"old"}}

	u := l.next(&adopted, start)
	want(t, u, "")
	if u.GetAdoption() != 99 || len(u.GetSupersedes()) != 1 {
		t.Errorf("adoption %d supersedes %v", u.GetAdoption(), u.GetSupersedes())
	}
	take(t, l, applied(u))
	again := adopted
	want(t, l.next(&again, start), "nothing")
}

func TestAnotherLeadersChangesAreHeardAndSentAnew(t *testing.T) {
	l := emptyLane(nil)
	for _, id := range []string{"same", "changed", "dropped"} {
		l.held["bgp-route/"+id] = holding{digest: "1", status: ingotv1.ItemResult_STATUS_APPLIED}
	}
	report := func(id, digest string, status ingotv1.ItemResult_Status) {
		l.reported(&ingotv1.ItemResult{Id: "bgp-route/" + id, Digest: digest, Status: status}, 0)
	}
	l.held["bgp-route/resent"] = holding{digest: "1", status: ingotv1.ItemResult_STATUS_APPLIED}
	report("resent", "1", ingotv1.ItemResult_STATUS_APPLIED) // the speaker refuses to keep for us what another sent
	report("changed", "2", ingotv1.ItemResult_STATUS_APPLIED)
	report("added", "1", ingotv1.ItemResult_STATUS_APPLIED)
	report("dropped", "1", ingotv1.ItemResult_STATUS_REMOVED)

	u := l.next(orderOf(6, route("same", "1"), route("changed", "2"), route("added", "1"), route("dropped", "1"), route("resent", "1")), start)
	want(t, u, "begin +bgp-route/added@1 +bgp-route/changed@2 +bgp-route/dropped@1 +bgp-route/resent@1 =bgp-route/same end")
}

func TestReportsAfterAcksCountOnlyForTheContentHeld(t *testing.T) {
	l := emptyLane(nil)
	o := orderOf(5, route("a", "2"))
	take(t, l, &ingotv1.Ack{Lane: routing, Nonce: l.next(o, start).GetNonce()})

	if _, ok := l.reported(&ingotv1.ItemResult{Id: "bgp-route/a", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED}, 5); ok {
		t.Error("a result for content that was replaced counted")
	}
	got, ok := l.reported(&ingotv1.ItemResult{Id: "bgp-route/a", Digest: "2", Status: ingotv1.ItemResult_STATUS_APPLIED}, 5)
	if !ok || got.status != ingotv1.ItemResult_STATUS_APPLIED || got.item == nil {
		t.Errorf("got %+v, %t", got, ok)
	}
}

func TestAcksThatDoNotFitAreErrors(t *testing.T) {
	l := emptyLane(nil)
	if _, err := l.acknowledged(&ingotv1.Ack{Nonce: 1}, start); err == nil {
		t.Error("an ack of nothing was taken")
	}
	u := l.next(orderOf(5), start)
	if _, err := l.acknowledged(&ingotv1.Ack{Nonce: 2}, start); err == nil {
		t.Error("an ack of the future was taken")
	}
	if _, err := l.acknowledged(refused(u, ingotv1.Refusal_REFUSAL_PROTOCOL), start); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("a protocol refusal gave %v", err)
	}
}
