package dispatch

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// rig is a registry of nodes with a clock of its own.
type rig struct {
	*nodes
	at      time.Time
	changes int
}

func newRig() *rig {
	r := &rig{at: start}
	r.nodes = newNodes(func() { r.changes++ }, func() { r.changes++ }, func() time.Time { return r.at })
	return r
}

func (r *rig) connect(node string, held ...*ingotv1.HeldItem) *stream {
	s := &stream{aborted: make(chan struct{}), wake: make(chan struct{}, 1)}
	r.attach(s, &ingotv1.Hello{Node: node, Instance: "i", Lineage: "L", Held: held})
	return s
}

func holds(address string, term uint64) *ingotv1.HeldItem {
	return &ingotv1.HeldItem{
		Lane: layer2Lane, Id: "layer2/" + address, Digest: "1",
		Status: ingotv1.ItemResult_STATUS_APPLIED, Term: term, Role: ingotv1.Layer2Address_ROLE_OWNER,
	}
}

func TestLostOnlyAfterThreeSecondsOfBeingServed(t *testing.T) {
	r := newRig()
	r.detach(r.connect("node1"))
	r.connect("node2")
	existing := []string{"node1", "node2", "node3"}

	for _, test := range []struct {
		name    string
		after   time.Duration
		serving time.Duration
		want    map[string]plan.NodeFacts
		next    time.Duration
	}{
		{"just gone", 0, -time.Hour, facts(false, true, true), 3 * time.Second},
		{"almost", 3*time.Second - 1, -time.Hour, facts(false, true, true), 3 * time.Second},
		{"gone", 3 * time.Second, -time.Hour, facts(true, true, true), 0},
		{"gone before we began to lead", 10 * time.Second, 9 * time.Second, facts(false, true, false), 12 * time.Second},
		{"never seen", 24 * time.Second, 9 * time.Second, facts(true, true, true), 0},
		{"never seen, almost", 24*time.Second - 1, 9 * time.Second, facts(true, true, false), 24 * time.Second},
	} {
		r.at = start.Add(test.after)
		got, next := r.facts(existing, start.Add(test.serving), nil)
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		var want time.Time
		if test.next != 0 {
			want = start.Add(test.next)
		}
		if !next.Equal(want) {
			t.Errorf("%s: facts change at %v, want %v", test.name, next.Sub(start), want.Sub(start))
		}
	}
}

// facts are those of node1, which went, node2, which is there, and node3, which never came.
func facts(lost1, connected2, lost3 bool) map[string]plan.NodeFacts {
	return map[string]plan.NodeFacts{"node1": {Lost: lost1}, "node2": {Connected: connected2}, "node3": {Lost: lost3}}
}

func TestSpeakersLostAllAtOnceHaveTimeToComeBack(t *testing.T) {
	r := newRig()
	one, two := r.connect("node1"), r.connect("node2")
	r.detach(one)
	r.detach(two)
	r.at = start.Add(time.Minute)
	r.connect("node2")
	for _, test := range []struct {
		after time.Duration
		lost  bool
	}{{lostAfter + time.Second, false}, {neverSeen - 1, false}, {neverSeen, true}} {
		r.at = start.Add(time.Minute + test.after)
		got, _ := r.facts([]string{"node1", "node2"}, start, nil)
		if got["node1"].Lost != test.lost {
			t.Errorf("%s after the first is back, node1 is lost: %t, want %t", test.after, got["node1"].Lost, test.lost)
		}
	}
}

// TestAStreamThatEndsAfterALeaveIsARelease, also where it was the last one; a stream that comes again ends that.
func TestAStreamThatEndsAfterALeaveIsARelease(t *testing.T) {
	r := newRig()
	s := r.connect("node1", holds("10.0.0.1", 4))
	expect := func(step string, connected, leaving, released bool) {
		t.Helper()
		all, _ := r.facts(nil, start, nil)
		got := all["node1"]
		if got.Connected != connected || got.Leaving != leaving || got.Released != released || got.Lost != released {
			t.Errorf("%s: connected %t, leaving %t, released %t, lost %t", step, got.Connected, got.Leaving, got.Released, got.Lost)
		}
	}
	expect("connected", true, false, false)
	r.observe(s, &ingotv1.Report{Leaving: true}, start)
	expect("says that it stops", true, true, false)
	before := r.changes
	r.detach(s)
	expect("stopped", false, true, true)
	if r.changes == before {
		t.Error("the planner has not heard of it")
	}
	r.connect("node2")
	expect("another one comes", false, true, true)
	s = r.connect("node1", holds("10.0.0.1", 4))
	expect("started again", true, false, false)
	r.detach(s)
	expect("away without a word", false, false, false)
}

func TestWaitsFollowHelloAndResults(t *testing.T) {
	r := newRig()
	pending := holds("10.0.0.1", 1)
	pending.Status = ingotv1.ItemResult_STATUS_PENDING
	s := r.connect("node1", pending, holds("10.0.0.2", 1))
	expect := func(step string, want ...string) {
		t.Helper()
		got, _ := r.facts(nil, start, nil)
		waits := map[netip.Addr]bool{}
		for _, address := range want {
			waits[netip.MustParseAddr(address)] = true
		}
		if diff := cmp.Diff(waits, got["node1"].Waits, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	expect("hello", "10.0.0.1")
	r.settle(s, []outcome{became(owned("10.0.0.3", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_PENDING)})
	expect("took, probing", "10.0.0.1", "10.0.0.3")
	r.settle(s, []outcome{became(owned("10.0.0.3", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_APPLIED)})
	expect("answers", "10.0.0.1")
	r.settle(s, []outcome{{id: "layer2/10.0.0.1", removed: true}})
	expect("released")
}

func TestHoldsFollowHelloAcksAndRemovals(t *testing.T) {
	r := newRig()
	s := r.connect("node1", holds("10.0.0.1", 4), holds("10.0.0.2", 1))
	held := func() map[netip.Addr]uint64 {
		got, _ := r.facts(nil, start, nil)
		return got["node1"].Holds
	}
	expect := func(step string, want map[netip.Addr]uint64) {
		t.Helper()
		if diff := cmp.Diff(want, held(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	one, two, three := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	expect("hello", map[netip.Addr]uint64{one: 4, two: 1})

	before := r.changes
	r.settle(s, []outcome{{id: "layer2/10.0.0.1", removed: true}})
	expect("released", map[netip.Addr]uint64{two: 1})
	r.settle(s, []outcome{became(owned("10.0.0.3", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_APPLIED)})
	expect("took", map[netip.Addr]uint64{two: 1, three: 3})
	if r.changes != before+2 {
		t.Errorf("the planner heard of %d changes, want 2", r.changes-before)
	}

	r.settle(s, []outcome{became(owned("10.0.0.2", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_REJECTED)})
	expect("a refused item leaves what was there", map[netip.Addr]uint64{two: 1, three: 3})
	r.settle(s, []outcome{became(owned("10.0.0.2", ingotv1.Layer2Address_ROLE_STANDBY), ingotv1.ItemResult_STATUS_APPLIED)})
	expect("stands by now", map[netip.Addr]uint64{three: 3})
	r.detach(s)
	expect("away, as it last said", map[netip.Addr]uint64{three: 3})
}

func TestNoClaimIsSoHighThatTheNextTermIsLower(t *testing.T) {
	r := newRig()
	r.connect("node1", holds("10.0.0.1", math.MaxUint64))
	got, _ := r.facts(nil, start, nil)
	if term := got["node1"].Holds[netip.MustParseAddr("10.0.0.1")]; term != maxTerm {
		t.Errorf("term %d, want %d", term, uint64(maxTerm))
	}
}

func TestNewerStreamSupersedes(t *testing.T) {
	r := newRig()
	old := r.connect("node1", holds("10.0.0.1", 1))
	other := r.connect("node1")

	select {
	case <-old.aborted:
	default:
		t.Fatal("the older stream was not told")
	}
	r.settle(old, []outcome{became(owned("10.0.0.9", ingotv1.Layer2Address_ROLE_OWNER), ingotv1.ItemResult_STATUS_APPLIED)})
	r.detach(old)
	got, _ := r.facts(nil, start, nil)
	if !got["node1"].Connected || len(got["node1"].Holds) != 0 {
		t.Errorf("facts %+v after the older stream's end", got["node1"])
	}
	if other.node.stream != other {
		t.Error("the newer stream is not the node's")
	}
}

func TestGateWaitsForSpeakersButNotForever(t *testing.T) {
	var g gate
	first := &leadership{epoch: 1}
	g.open(first, start)
	if open, until := g.layer2(start, false); open || !until.Equal(start.Add(settleTime)) {
		t.Errorf("open %t until %v at once, though a speaker is missing", open, until)
	}
	if open, _ := g.layer2(start.Add(settleTime), false); !open {
		t.Error("closed though the time is over")
	}
	if open, _ := g.layer2(start.Add(settleTime+1), false); !open {
		t.Error("closed again")
	}

	g.open(&leadership{epoch: 2}, start.Add(time.Minute))
	if open, _ := g.layer2(start.Add(time.Minute), false); open {
		t.Error("a new leadership did not wait anew")
	}
	if open, _ := g.layer2(start.Add(time.Minute), true); !open {
		t.Error("closed though everyone is here")
	}
}

func TestAbsencesCountAnewAfterAPause(t *testing.T) {
	g := gate{ticked: start}
	lead := &leadership{epoch: 1}
	g.open(lead, start)
	if g.tick(start.Add(stall/2)) || g.open(lead, start.Add(stall/2)) != start {
		t.Error("an ordinary tick counted as a pause")
	}
	woke := start.Add(time.Minute)
	if !g.tick(woke) || g.open(lead, woke) != woke {
		t.Error("a minute without a tick did not count as a pause")
	}
}
