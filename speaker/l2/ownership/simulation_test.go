package ownership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The bounds of docs/layer2-failover.md, from the timers. Frames take no time here.
const (
	tickSlack = 2 * time.Millisecond
	// askInterval is how often neighbours and witnesses are asked at rest, and reunion the longest until two nodes that can
	// reach each other again hear each other.
	askInterval = 200 * time.Millisecond
	reunion     = askInterval + tickSlack

	// overlapBound: from when a part of the segment is whole until at most one of its nodes answers. The nodes find each
	// other; what was heard before, of whoever is not in this part, is believed for as long as it is fresh; the taker insists
	// for a while where the other hears the centre.
	overlapBound = reunion + 2*Insistence + ContestInterval + QuickProbes*QuickProbeInterval + tickSlack
	// silenceBound: from when a part has a witness, a node of the address, and no change, until one answers. The owner is
	// found dead and the centre lost, the second standby waits for the first, and whoever found the address answered by a
	// node probes again when that is gone.
	silenceBound = StrangerGrace + RankDelay + BFDInterval*BFDMultiplier + StandbyRetry + ProbeValidity + CentreLost + tickSlack
	// failover: the same for the first standby, where the owner dies at once and nothing else happens.
	failover = max(BFDInterval*BFDMultiplier+(QuickProbes)*QuickProbeInterval, CentreLost) + verifyPoll + tickSlack
)

// world is some nodes on a segment, with one address.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	nodes []*simNode
	log   strings.Builder
	// part is which part of the segment each node is in; witness, which parts have a witness.
	part    []int
	witness map[int]bool
	// lost are pairs of nodes of which the second does not get the first one's frames.
	lost map[[2]int]bool
}

// simNode is one node: its claim, and how it hears others.
type simNode struct {
	name     string
	rank     int
	mac      MAC
	claim    *Claim // nil while the process does not run
	next     time.Duration
	order    Order
	centre   bool // it reaches the centre
	frozen   bool
	evidence Evidence
	at       time.Duration // the witness's last answer
	up       map[string]time.Duration
	heard    map[string]time.Duration
	before   string
}

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Hour, part: make([]int, n), witness: map[int]bool{0: true}, lost: map[[2]int]bool{}}
	var names []string
	for i := range n {
		names = append(names, string(rune('a'+i)))
	}
	for i := range n {
		node := &simNode{name: names[i], rank: i, mac: MAC{0x52, 0x54, 5: byte(w.rng.IntN(200))<<3 | byte(i)}, centre: true}
		node.order = Order{Role: Standby, Term: 7, Rank: i, Nodes: names, Links: []string{"eth0"}}
		if i == 0 {
			node.order.Role = Owner
		}
		w.nodes = append(w.nodes, node)
		w.start(i, false)
	}
	return w
}

// start runs a node's process anew. What is not restored comes from the centre.
func (w *world) start(i int, restored bool) {
	n := w.nodes[i]
	n.claim = New(func(d time.Duration) time.Duration { return d*9/10 + time.Duration(w.rng.Int64N(int64(d)/5)) })
	n.up, n.heard = map[string]time.Duration{}, map[string]time.Duration{}
	n.evidence, n.at, n.frozen = Evidence{}, 0, false
	order := n.order
	order.Restored = restored
	w.step(i, order)
}

func (w *world) stop(i int) { w.nodes[i].claim = nil }

func (w *world) runs(i int) bool { return w.nodes[i].claim != nil && !w.nodes[i].frozen }

// reaches says whether frames of one node arrive at another.
func (w *world) reaches(i, j int) bool { return w.part[i] == w.part[j] && !w.lost[[2]int{i, j}] }

func (w *world) answers(i int) bool {
	n := w.nodes[i]
	if !w.runs(i) || n.claim.Phase() != Answering {
		return false
	}
	return n.claim.Alone() || n.evidence.Answerable(w.now)
}

// senses is what a node hears, by the rules of the shell.
func (w *world) senses(i int) Senses {
	n := w.nodes[i]
	var s Senses
	s.Centre, s.Segment, _ = n.evidence.Sense(w.now)
	s.WitnessAt = n.at
	switch {
	case n.at != 0 && w.now-n.at < 650*time.Millisecond:
		s.Witness = WitnessHeard
	case n.at != 0:
		s.Witness = WitnessSilent
	}
	for rank, other := range n.order.Nodes {
		if rank == i {
			continue
		}
		up := n.up[other]
		s.Peers[rank] = Peer{
			// Standbys have no session with each other.
			Known: rank == 0 || i == 0,
			Up:    (rank == 0 || i == 0) && up != 0 && w.now-up < BFDInterval*BFDMultiplier,
			Heard: n.heard[other] != 0 && w.now-n.heard[other] < 650*time.Millisecond,
		}
	}
	return s
}

// step feeds an event, and has the others hear what follows, at once.
func (w *world) step(i int, ev Event) {
	n := w.nodes[i]
	if !w.runs(i) {
		return
	}
	a := n.claim.Step(w.now, w.senses(i), ev)
	n.next = a.Next
	if a.Changed {
		if now := fmt.Sprint(n.claim.Phase(), " ", n.claim.Term(), " ", n.claim.Reason()); now != n.before {
			n.before = now
			fmt.Fprintf(&w.log, "%6d %s %s\n", (w.now - time.Hour).Milliseconds(), n.name, now)
		}
	}
	if a.Verify {
		w.hearWitness(i)
	}
	if len(a.Probe) > 0 {
		for j := range w.nodes {
			if j == i || !w.runs(j) || !w.reaches(i, j) {
				continue
			}
			w.step(j, Heard{Link: "eth0", MAC: n.mac, Rank: i, Probe: true, Ours: w.nodes[j].mac})
			if w.answers(j) && w.reaches(j, i) {
				w.step(i, Heard{Link: "eth0", MAC: w.nodes[j].mac, Rank: j, Ours: n.mac})
			}
		}
	}
	if len(a.Announce) > 0 && w.answers(i) {
		for j := range w.nodes {
			if j != i && w.runs(j) && w.reaches(i, j) {
				w.step(j, Heard{Link: "eth0", MAC: n.mac, Rank: i, Ours: w.nodes[j].mac})
			}
		}
	}
}

func (w *world) hearWitness(i int) {
	if n := w.nodes[i]; w.runs(i) && w.witness[w.part[i]] {
		n.at, n.evidence.Segment = w.now, w.now
	}
}

// pass lets time go by, in milliseconds; check is called after each.
func (w *world) pass(d time.Duration, check func()) {
	for end := w.now + d; w.now < end; {
		w.now += time.Millisecond
		ms := w.now / time.Millisecond
		for i, n := range w.nodes {
			if !w.runs(i) {
				continue
			}
			for j, other := range w.nodes {
				if j == i || !w.runs(j) || !w.reaches(j, i) {
					continue
				}
				if !w.reaches(i, j) {
					continue // BFD is down when one of the two does not hear the other, and questions stay unanswered
				}
				if ms%(BFDInterval/time.Millisecond) == time.Duration(j) && (i == 0 || j == 0) {
					n.up[other.name], n.heard[other.name], n.evidence.Segment = w.now, w.now, w.now
				}
				if ms%(askInterval/time.Millisecond) == time.Duration(10+j) {
					n.heard[other.name] = w.now
				}
			}
			if ms%(askInterval/time.Millisecond) == time.Duration(20+i) {
				w.hearWitness(i)
			}
			if n.centre && ms%250 == time.Duration(30+i) {
				n.evidence.Centre = w.now
			}
		}
		for i, n := range w.nodes {
			if w.runs(i) && (n.next != 0 && n.next <= w.now || ms%5 == 0) {
				w.step(i, Tick{})
			}
		}
		check()
	}
}

// disturb changes the world at random. The centre decides nothing: it is away, or hangs.
func (w *world) disturb() {
	i := w.rng.IntN(len(w.nodes))
	n := w.nodes[i]
	switch w.rng.IntN(6) {
	case 0:
		for j := range w.part {
			w.part[j] = w.rng.IntN(2)
		}
		w.witness = map[int]bool{0: true, 1: w.rng.IntN(2) == 0}
	case 1:
		clear(w.witness)
		clear(w.lost)
		w.witness[0] = true
		for j := range w.part {
			w.part[j] = 0
		}
	case 2:
		n.centre = !n.centre && w.rng.IntN(3) == 0
	case 3:
		if w.runs(i) {
			w.stop(i)
		}
	case 4:
		if n.claim == nil {
			w.start(i, true)
		}
	case 5:
		if n.claim == nil {
			return
		}
		if n.frozen = !n.frozen; !n.frozen {
			w.step(i, Frozen{})
		}
	}
	if w.rng.IntN(10) == 0 {
		w.lost[[2]int{i, w.rng.IntN(len(w.nodes))}] = true
	}
	state := func(i int) string {
		n := w.nodes[i]
		s := fmt.Sprintf("%s%d", n.name, w.part[i])
		if n.claim == nil {
			s += "-"
		}
		if n.frozen {
			s += "*"
		}
		if n.centre {
			s += "^"
		}
		return s
	}
	var all []string
	for i := range w.nodes {
		all = append(all, state(i))
	}
	fmt.Fprintf(&w.log, "%6d    parts %s, witnesses %v, lost %v\n", (w.now - time.Hour).Milliseconds(), strings.Join(all, " "), w.witness, w.lost)
}

// answering are the nodes of a part that answer.
func (w *world) answering(part int) (names []string) {
	for i, n := range w.nodes {
		if w.part[i] == part && w.answers(i) {
			names = append(names, n.name)
		}
	}
	return names
}

// TestAtMostOneAnswersAndSomebodyDoes: whatever happens, in any order, the documented bounds hold in every part of the
// segment once it is left alone.
func TestAtMostOneAnswersAndSomebodyDoes(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, 2+int(seed%2))
			w.pass(5*time.Second, func() {})
			for range 12 {
				w.disturb()
				began := w.now
				// Long enough for every bound to be met, or cut short by what happens next.
				for d := time.Duration(w.rng.Int64N(int64(2 * silenceBound))); w.now-began < d && !t.Failed(); {
					w.pass(5*time.Millisecond, func() {})
					w.judge(w.now - began)
				}
				if t.Failed() {
					t.Fatalf("what happened:\n%s", w.log.String())
				}
			}
		})
	}
}

// judge checks the bounds for a world that was left alone for so long.
func (w *world) judge(quiet time.Duration) {
	if len(w.lost) > 0 {
		return // there are no parts that hear each other, and others that do not
	}
	for part := range 2 {
		names := w.answering(part)
		if len(names) > 1 && quiet > overlapBound {
			w.t.Errorf("%v: %v answer in one part, %v after the last change; the bound is %v", w.now-time.Hour, names, quiet, overlapBound)
		}
		alive := slices.ContainsFunc(w.nodes, func(n *simNode) bool { return w.part[n.rank] == part && w.runs(n.rank) })
		if len(names) == 0 && alive && quiet > silenceBound && w.served(part) {
			w.t.Errorf("%v: nobody answers in a part with a witness, %v after the last change; the bound is %v", w.now-time.Hour, quiet, silenceBound)
		}
	}
}

// served says whether the table has somebody answer in a part: the owner is there and hears anybody, or a standby is that
// hears a witness but not the centre, which would decide.
func (w *world) served(part int) bool {
	for i, n := range w.nodes {
		if w.part[i] != part || !w.runs(i) {
			continue
		}
		if i == 0 && (n.centre || w.witness[part]) || i > 0 && !n.centre && w.witness[part] {
			return true
		}
	}
	return false
}

// TestFailOverWithinTheBound: the owner dies while the centre is away, or both die together.
func TestFailOverWithinTheBound(t *testing.T) {
	for seed := range uint64(50) {
		for _, together := range []bool{false, true} {
			w := newWorld(t, seed, 3)
			w.pass(5*time.Second+time.Duration(seed*7)*time.Millisecond, func() {})
			for _, n := range w.nodes {
				n.centre = false
			}
			if !together {
				w.pass(2*time.Second, func() {})
			}
			w.stop(0)
			began := w.now
			for len(w.answering(0)) == 0 && w.now-began < time.Minute {
				w.pass(time.Millisecond, func() {})
			}
			if gap := w.now - began; gap > failover || w.answering(0)[0] != "b" {
				t.Errorf("seed %d, together %t: %v answers after %v; the bound is %v\n%s", seed, together, w.answering(0), gap, failover, w.log.String())
			}
		}
	}
}

// TestAnOwnerThatIsCutOffIsSilentBeforeAStandbyAnswers: cut off from everybody, with the rest of the segment whole.
func TestAnOwnerThatIsCutOffIsSilentBeforeAStandbyAnswers(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed, 3)
		w.pass(5*time.Second+time.Duration(seed*7)*time.Millisecond, func() {})
		w.part[0] = 1
		for _, n := range w.nodes {
			n.centre = false
		}
		w.pass(3*time.Second, func() {
			if w.answers(0) && (w.answers(1) || w.answers(2)) {
				t.Fatalf("seed %d: the owner answers still, and a standby does:\n%s", seed, w.log.String())
			}
		})
		if !w.answers(1) {
			t.Errorf("seed %d: the standby does not answer:\n%s", seed, w.log.String())
		}
		// The cable is back.
		w.part[0] = 0
		began := w.now
		w.pass(3*time.Second, func() {
			if names := w.answering(0); len(names) > 1 && w.now-began > reunion {
				t.Fatalf("seed %d: %v answer %v after the cable is back:\n%s", seed, names, w.now-began, w.log.String())
			}
		})
		if names := w.answering(0); len(names) != 1 {
			t.Errorf("seed %d: %v answer in the end:\n%s", seed, names, w.log.String())
		}
	}
}
