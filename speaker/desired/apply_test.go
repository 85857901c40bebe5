package desired

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	foreign   = ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE
	oldEpoch  = ingotv1.Refusal_REFUSAL_OLD_EPOCH
	heldBack  = ingotv1.Refusal_REFUSAL_HELD_BACK
	protoFail = ingotv1.Refusal_REFUSAL_PROTOCOL
)

func TestFullStateThenChanges(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)

	a.update(routing, full, upsert(route("r1", "1"), route("r2", "1"), route("r3", "1")), revision(7)).obeyed()
	s.holds(routing, "r1@1", "r2@1", "r3@1")

	a.update(routing, upsert(route("r2", "2"), route("r4", "1")), remove("r1"), revision(8)).obeyed()
	s.holds(routing, "r2@2", "r3@1", "r4@1")

	a.update(routing, full, kept("r2"), upsert(route("r5", "1")), remove("r3"), revision(9)).obeyed()
	s.holds(routing, "r2@2", "r5@1")
	if diff := cmp.Diff(Standing{Lineage: "L", Epoch: 5, Revision: 9}, s.state.Standing()); diff != "" {
		t.Errorf("standing (-want +got):\n%s", diff)
	}
}

func TestFullStateOfSeveralMessagesIsTakenAtItsEnd(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1"), route("r2", "1"))).obeyed()

	first := a.update(routing, begin, upsert(route("r3", "1")))
	first.obeyed()
	a.update(routing, kept("r2")).obeyed()
	s.holds(routing, "r1@1", "r2@1")

	last := a.update(routing, end, upsert(route("r4", "1")))
	last.obeyed()
	s.holds(routing, "r2@1", "r3@1", "r4@1")
	if len(first.Ack.GetResults()) != 0 {
		t.Errorf("results before the end: %v", first.Ack)
	}
	want := []*ingotv1.ItemResult{
		{Id: "r3", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Id: "r4", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Id: "r1", Digest: "1", Status: ingotv1.ItemResult_STATUS_REMOVED},
	}
	if diff := cmp.Diff(want, last.Ack.GetResults(), protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestForeignLineageWithdrawsNothing(t *testing.T) {
	s := newScript(t)
	s.leads("a", "L", 5).update(routing, full, upsert(route("r1", "1"))).obeyed()

	b := s.leads("b", "M", 9)
	b.update(routing, full).refused(foreign)
	b.update(routing, upsert(route("r2", "1"))).refused(foreign)
	b.update(routing, full, adopt(100, "X")).refused(foreign)
	b.update(routing, adopt(100, "L"), upsert(route("r2", "1"))).refused(foreign)
	s.holds(routing, "r1@1")

	b.update(routing, full, upsert(route("r2", "1")), adopt(100, "L")).obeyed()
	s.holds(routing, "r2@1")
	if diff := cmp.Diff(Standing{Lineage: "M", Epoch: 9, Adoption: 100}, s.state.Standing()); diff != "" {
		t.Errorf("standing (-want +got):\n%s", diff)
	}
}

func TestAdoptionServesEachLaneOnce(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(routes(20)...)).obeyed()
	var addresses []*ingotv1.Item
	for _, r := range routes(20) {
		addresses = append(addresses, address(r.GetId(), "1"))
	}
	a.update(layer2, full, upsert(addresses...)).obeyed()

	b := s.leads("b", "M", 2)
	b.update(routing, full, adopt(100, "L")).obeyed()
	s.count(routing, 0)
	s.count(layer2, 20)
	b.update(layer2, upsert(address("x", "1")), adopt(100, "L")).refused(protoFail)
	b.update(layer2, full, adopt(100, "L")).obeyed()
	s.count(layer2, 0)

	b.update(routing, upsert(routes(20)...), adopt(100, "L")).obeyed()
	b.update(routing, full, adopt(100, "L")).refused(heldBack)
	s.count(routing, 20)
}

func TestAdoptionHeardWhileAllIsWellReleasesNothingLater(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(layer2, full).obeyed()
	a.update(routing, full, upsert(routes(20)...)).obeyed()
	a.update(layer2, adopt(100)).obeyed()

	s.leads("a", "L", 6).update(routing, full, adopt(100)).refused(heldBack)
}

func TestOlderEpochIsFencedFromTheWelcomeOn(t *testing.T) {
	s := newScript(t)
	old := s.leads("old", "L", 5)
	old.update(routing, full, upsert(route("r1", "1"))).obeyed()

	s.leads("new", "L", 6) // has not sent anything yet
	old.update(routing, remove("r1")).refused(oldEpoch)
	old.update(routing, full).refused(oldEpoch)
	s.holds(routing, "r1@1")

	// A store restored from a backup counts from a lower number: only an operator can say that this is meant.
	restored := s.leads("restored", "L", 2)
	restored.update(routing, full, adopt(100)).obeyed()
	if got := s.state.Standing().Epoch; got != 2 {
		t.Errorf("epoch %d after the adoption, want 2", got)
	}
}

func TestBrake(t *testing.T) {
	tests := []struct {
		name    string
		holds   int
		options []option
		want    ingotv1.Refusal
	}{
		{"an empty centre", 20, nil, heldBack},
		{"eleven of twenty-one", 21, []option{kept(ids(routes(10))...)}, heldBack},
		{"half is not more than half", 22, []option{kept(ids(routes(11))...)}, 0},
		{"ten are never too many", 10, nil, 0},
		{"eleven of eleven", 11, nil, heldBack},
		{"explained", 20, []option{remove(ids(routes(20))...)}, 0},
		{"explained but for ten", 20, []option{remove(ids(routes(10))...)}, 0},
		{"explained but for eleven", 20, []option{remove(ids(routes(9))...)}, heldBack},
		{"replaced by others", 20, []option{upsert(route("other", "1"))}, heldBack},
		{"adopted", 20, []option{adopt(100)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			s.leads("a", "L", 5).update(routing, full, upsert(routes(tt.holds)...)).obeyed()
			out := s.leads("a", "L", 6).update(routing, append(tt.options, full)...)
			if got := out.Ack.GetRefusal(); got != tt.want {
				t.Fatalf("refusal %v (%s), want %v", got, out.Ack.GetMessage(), tt.want)
			}
			if tt.want != 0 {
				s.count(routing, tt.holds)
			}
		})
	}
}

func TestBrakeJudgesTheLanesTogether(t *testing.T) {
	const addresses = 6
	var layer2Items []*ingotv1.Item
	for i := range addresses {
		layer2Items = append(layer2Items, address(fmt.Sprintf("a%d", i), "1"))
	}
	start := func(t *testing.T, n int) (*script, *replica) {
		s := newScript(t)
		first := s.leads("a", "L", 5)
		first.update(routing, full, upsert(routes(n)...)).obeyed()
		first.update(layer2, full, upsert(layer2Items...)).obeyed()
		return s, s.leads("a", "L", 6)
	}
	t.Run("a loss shared by both", func(t *testing.T) {
		s, next := start(t, 6)
		next.update(layer2, full).obeyed()
		next.update(routing, full).refused(heldBack)
		s.count(routing, 6)
		next.update(routing, full, adopt(100)).obeyed()
		s.count(routing, 0)
	})
	t.Run("no more than ten", func(t *testing.T) {
		s, next := start(t, 4)
		next.update(layer2, full).obeyed()
		next.update(routing, full).obeyed()
		s.count(routing, 0)
	})
	t.Run("no more than half", func(t *testing.T) {
		s, next := start(t, 20)
		next.update(layer2, full).obeyed()
		next.update(routing, full, kept(ids(routes(13))...)).obeyed()
		s.count(routing, 13)
	})
}

func TestAfterARefusalOnlyAFullStateIsObeyed(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(routes(20)...)).obeyed()

	a.update(routing, full).refused(heldBack)
	a.update(routing, remove("r01")).refused(heldBack)
	a.update(layer2, full, upsert(address("x", "1"))).obeyed() // the other lane does not wait
	s.count(routing, 20)

	a.update(routing, full, kept(ids(routes(19))...)).obeyed()
	a.update(routing, remove("r01")).obeyed()
	s.count(routing, 18)
}

func TestWhatDoesNotFitTheProtocol(t *testing.T) {
	tests := []struct {
		name    string
		options []option
	}{
		{"a nonce out of order", []option{nonce(9)}},
		{"a nonce again", []option{nonce(1)}},
		{"no lineage", []option{lineageIs("")}},
		{"an end without a begin", []option{end}},
		{"kept outside a full state", []option{kept("r1")}},
		{"kept what is not there", []option{full, kept("r1", "r9")}},
		{"an item without an id", []option{upsert(route("", "1"))}},
		{"an item named twice", []option{upsert(route("r1", "2")), remove("r1")}},
		{"an item of the other lane", []option{upsert(address("a1", "1"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			a := s.leads("a", "L", 5)
			a.update(routing, full, upsert(route("r1", "1"))).obeyed()
			a.update(routing, tt.options...).refused(protoFail)
			s.holds(routing, "r1@1")
		})
	}
}

func TestProtocolOfSequences(t *testing.T) {
	t.Run("unknown lane", func(t *testing.T) {
		newScript(t).leads("a", "L", 5).update(ingotv1.Lane_LANE_UNSPECIFIED, full).refused(protoFail)
	})
	t.Run("a change before the full state", func(t *testing.T) {
		newScript(t).leads("a", "L", 5).update(routing, upsert(route("r1", "1"))).refused(protoFail)
	})
	t.Run("a full state inside another", func(t *testing.T) {
		a := newScript(t).leads("a", "L", 5)
		a.update(routing, begin).obeyed()
		a.update(routing, begin).refused(protoFail)
		a.update(routing, end).refused(protoFail)
		a.update(routing, full, upsert(route("r1", "1"))).obeyed()
	})
	t.Run("another epoch inside a full state", func(t *testing.T) {
		a := newScript(t).leads("a", "L", 5)
		a.update(routing, begin).obeyed()
		a.update(routing, end, epochIs(6)).refused(protoFail)
	})
	t.Run("from one that does not lead", func(t *testing.T) {
		s := newScript(t)
		a := s.leads("a", "L", 5)
		s.state.Welcome(a.r, &ingotv1.Welcome{Replica: "a", Lineage: "L"})
		a.update(routing, full, upsert(route("r1", "1"))).refused(protoFail)
		s.count(routing, 0)
	})
	t.Run("a full state mends a gap", func(t *testing.T) {
		a := newScript(t).leads("a", "L", 5)
		a.update(routing, full, nonce(4)).refused(protoFail)
		a.update(routing, full, nonce(5), upsert(route("r1", "1"))).obeyed()
	})
}

// A replica that becomes leader knows what the speaker said at its hello, not what another leader did since.
func TestKeptMustBeKnownToTheReplica(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1"))).obeyed()
	b := s.leads("b", "L", 5) // its hello says r1@1
	a.update(routing, upsert(route("r1", "2"))).obeyed()

	s.state.Welcome(b.r, &ingotv1.Welcome{Replica: "b", Lineage: "L", Epoch: 6, Leading: true})
	b.epoch = 6
	b.update(routing, full, kept("r1")).refused(protoFail)
	s.holds(routing, "r1@2")
	b.update(routing, full, upsert(route("r1", "1"))).obeyed()
	b.update(routing, full, kept("r1")).obeyed()
}

func TestLeadingAnewNeedsAFullState(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1"))).obeyed()
	s.state.Welcome(a.r, &ingotv1.Welcome{Replica: "a", Lineage: "L", Epoch: 5})
	s.state.Welcome(a.r, &ingotv1.Welcome{Replica: "a", Lineage: "L", Epoch: 7, Leading: true})
	a.epoch = 7

	a.update(routing, upsert(route("r2", "1"))).refused(protoFail)
	a.update(routing, full, upsert(route("r1", "1"), route("r2", "1"))).obeyed()
	s.holds(routing, "r1@1", "r2@1")
}

func TestUnknownKindIsHeldAsRejected(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1"))).obeyed()

	out := a.update(routing, upsert(&ingotv1.Item{Id: "r1", Digest: "2"}, &ingotv1.Item{Id: "new", Digest: "1"}))
	out.obeyed()
	for _, r := range out.Ack.GetResults() {
		if r.GetStatus() != ingotv1.ItemResult_STATUS_REJECTED || r.GetReason() == "" {
			t.Errorf("result %v, want a rejection with its reason", r)
		}
	}
	s.holds(routing, "new@1", "r1@2")
	want := []*ingotv1.Item{route("r1", "1")}
	if diff := cmp.Diff(want, s.state.Items(routing), protocmp.Transform()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

func TestRejectedContentLeavesTheGoodInPlace(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1"))).obeyed()
	a.update(routing, upsert(route("r1", "2")))
	s.state.Apply(a.r, &ingotv1.Update{Lane: routing, Nonce: 3, Lineage: "L", Epoch: 5, Upserts: []*ingotv1.Item{route("r1", "3")}})
	s.state.Record(routing, []*ingotv1.ItemResult{{Id: "r1", Digest: "3", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "no"}})

	restored, err := Restore(s.state.Save())
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]*State{"running": s.state, "restored": restored} {
		good, differs := state.LastGood(routing)
		if diff := cmp.Diff([]*ingotv1.Item{route("r1", "2")}, good, protocmp.Transform()); diff != "" || !differs {
			t.Errorf("%s: last good, differs %v (-want +got):\n%s", name, differs, diff)
		}
	}
	if changed := s.state.Record(routing, []*ingotv1.ItemResult{{Id: "r1", Digest: "2", Status: ingotv1.ItemResult_STATUS_APPLIED}}); len(changed) > 0 {
		t.Errorf("a result of older content changed %v", changed)
	}
}

func TestRemovalOfWhatIsNotThereIsDone(t *testing.T) {
	a := newScript(t).leads("a", "L", 5)
	a.update(routing, full).obeyed()
	out := a.update(routing, remove("gone"))
	out.obeyed()
	want := []*ingotv1.ItemResult{{Id: "gone", Status: ingotv1.ItemResult_STATUS_REMOVED}}
	if diff := cmp.Diff(want, out.Ack.GetResults(), protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestHelloSaysWhatIsHeld(t *testing.T) {
	s := newScript(t)
	a := s.leads("a", "L", 5)
	a.update(routing, full, upsert(route("r1", "1")), revision(3), adopt(100)).obeyed()
	owned := address("x", "2")
	owned.GetLayer2Address().Role, owned.GetLayer2Address().Term = ingotv1.Layer2Address_ROLE_OWNER, 4
	a.update(layer2, full, upsert(owned), revision(2), adopt(100)).obeyed()

	got := &ingotv1.Hello{}
	s.state.Hello(NewReplica(), got)
	want := &ingotv1.Hello{
		Lineage: "L", Epoch: 5, Revision: 3, Adoption: 100,
		Held: []*ingotv1.HeldItem{
			{Lane: routing, Id: "r1", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
			{Lane: layer2, Id: "x", Digest: "2", Status: ingotv1.ItemResult_STATUS_APPLIED, Term: 4, Role: ingotv1.Layer2Address_ROLE_OWNER},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}
}

func TestRestoreRefusesWhatCannotHaveBeenSaved(t *testing.T) {
	lane := func(l ingotv1.Lane, items ...Held) map[ingotv1.Lane]SavedLane {
		return map[ingotv1.Lane]SavedLane{l: {Items: items}}
	}
	of := Standing{Lineage: "L"}
	tests := map[string]Saved{
		"unknown lane":    {of, lane(9)},
		"no id":           {of, lane(routing, Held{Item: route("", "1")})},
		"twice":           {of, lane(routing, Held{Item: route("r", "1")}, Held{Item: route("r", "1")})},
		"wrong lane":      {of, lane(layer2, Held{Item: route("r", "1")})},
		"wrong good":      {of, lane(routing, Held{Item: route("r", "1"), Good: address("r", "1")})},
		"without lineage": {Standing{}, lane(routing, Held{Item: route("r", "1")})},
	}
	for name, saved := range tests {
		t.Run(name, func(t *testing.T) {
			if s, err := Restore(saved); err == nil {
				t.Errorf("restored %+v", s.Save())
			}
		})
	}
}
