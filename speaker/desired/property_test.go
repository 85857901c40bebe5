package desired

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestRandomCentresNeverBreakThePromises lets several centres, right and wrong ones, say random things, and checks
// after each what must hold whatever they say.
func TestRandomCentresNeverBreakThePromises(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), state: New(), adopted: map[ingotv1.Lane]uint64{}}
			for range 120 {
				w.step()
			}
		})
	}
}

type world struct {
	t       *testing.T
	rng     *rand.Rand
	state   *State
	streams []*replica
	clock   uint64
	// adopted is, by lane, the newest adoption that came with something obeyed.
	adopted map[ingotv1.Lane]uint64
}

func (w *world) step() {
	switch {
	case len(w.streams) == 0 || w.rng.IntN(12) == 0:
		s := &script{t: w.t, state: w.state}
		w.streams = append(w.streams, s.leads("x", w.lineage(), uint64(1+w.rng.IntN(8))))
	case w.rng.IntN(20) == 0:
		restored, err := Restore(w.state.Save())
		if err != nil {
			w.t.Fatal(err)
		}
		if diff := cmp.Diff(w.content(w.state), w.content(restored)); diff != "" {
			w.t.Fatalf("restored (-want +got):\n%s", diff)
		}
		w.state, w.streams = restored, nil
	default:
		w.update(w.streams[w.rng.IntN(len(w.streams))])
	}
}

func (w *world) lineage() string {
	if w.rng.IntN(4) == 0 {
		return "M"
	}
	return "L"
}

func (w *world) update(p *replica) {
	lane := Lanes[w.rng.IntN(2)]
	before, was := w.content(w.state)[lane], w.state.Standing()
	other := w.content(w.state)[3-lane]
	p.nonce[lane]++
	u := &ingotv1.Update{
		Lane: lane, Nonce: p.nonce[lane], Lineage: p.lineage, Epoch: p.epoch, Revision: w.rng.Int64N(100),
		FullBegin: w.rng.IntN(2) == 0, FullEnd: w.rng.IntN(2) == 0,
	}
	if w.rng.IntN(10) == 0 {
		w.clock++
	}
	u.Adoption = w.clock
	if w.rng.IntN(2) == 0 {
		u.Supersedes = []string{"L", "M"}
	}
	density := w.rng.IntN(10)
	for i := range 30 {
		id := fmt.Sprint(i)
		if w.rng.IntN(10) >= density {
			continue
		}
		_, has := before[id]
		switch k := w.rng.IntN(5); {
		case k == 0 && u.GetFullBegin():
			u.Removals = append(u.Removals, &ingotv1.Removal{Id: id})
		case k == 1 && has && u.GetFullBegin():
			u.Kept = append(u.Kept, id)
		default:
			item := route(id, fmt.Sprint(w.rng.IntN(3)))
			if lane == layer2 {
				item = address(id, item.GetDigest())
			}
			u.Upserts = append(u.Upserts, item)
		}
	}

	out := w.state.Apply(p.r, u)
	after, is := w.content(w.state)[lane], w.state.Standing()

	if diff := cmp.Diff(other, w.content(w.state)[3-lane]); diff != "" {
		w.t.Fatalf("the other lane changed (-want +got):\n%s", diff)
	}
	if got := (Standing{out.Ack.GetLineage(), out.Ack.GetEpoch(), out.Ack.GetRevision(), out.Ack.GetAdoption()}); got != is {
		w.t.Fatalf("ack says %+v, state is %+v", got, is)
	}
	if !out.Committed {
		if diff := cmp.Diff(before, after); diff != "" || is != was {
			w.t.Fatalf("changed without being obeyed, %+v to %+v (-want +got):\n%s", was, is, diff)
		}
		return
	}
	if out.Refused() {
		w.t.Fatal("refused and obeyed")
	}
	word := u.GetAdoption() > was.Adoption
	if was.Lineage != "" && was.Lineage != is.Lineage && (!word || len(u.GetSupersedes()) == 0) {
		w.t.Fatalf("lineage %q became %q without a word", was.Lineage, is.Lineage)
	}
	if was.Lineage == is.Lineage && is.Epoch < was.Epoch && !word {
		w.t.Fatalf("epoch %d became %d without a word", was.Epoch, is.Epoch)
	}
	if is.Lineage != u.GetLineage() || is.Epoch != u.GetEpoch() {
		w.t.Fatalf("obeyed %q %d, now %+v", u.GetLineage(), u.GetEpoch(), is)
	}
	w.checkContent(u, out, before, after)
	w.adopted[lane] = max(w.adopted[lane], u.GetAdoption())
}

// checkContent compares with what the update says, and counts what was dropped without explanation.
func (w *world) checkContent(u *ingotv1.Update, out Outcome, before, after map[string]string) {
	if u.GetFullBegin() != u.GetFullEnd() {
		return // the end of a sequence: the scripts check those
	}
	want := maps.Clone(before)
	if u.GetFullBegin() {
		want = map[string]string{}
		for _, id := range u.GetKept() {
			want[id] = before[id]
		}
	}
	for _, item := range u.GetUpserts() {
		want[item.GetId()] = item.GetDigest()
	}
	explained := map[string]bool{}
	for _, rm := range u.GetRemovals() {
		delete(want, rm.GetId())
		explained[rm.GetId()] = true
	}
	if !u.GetFullBegin() && len(out.Removed) > len(u.GetRemovals()) {
		w.t.Fatalf("a change dropped %d items and explains %d", len(out.Removed), len(u.GetRemovals()))
	}
	if diff := cmp.Diff(want, after); diff != "" {
		w.t.Fatalf("content (-want +got):\n%s", diff)
	}
	dropped := 0
	for id := range before {
		if _, still := after[id]; !still && !explained[id] {
			dropped++
		}
	}
	if dropped > 10 && 2*dropped > len(before) && u.GetAdoption() <= w.adopted[u.GetLane()] {
		w.t.Fatalf("dropped %d of %d without a word", dropped, len(before))
	}
}

func (w *world) content(s *State) map[ingotv1.Lane]map[string]string {
	out := map[ingotv1.Lane]map[string]string{}
	for _, l := range Lanes {
		out[l] = map[string]string{}
		for _, h := range s.Held(l) {
			out[l][h.Item.GetId()] = h.Item.GetDigest()
		}
	}
	return out
}
