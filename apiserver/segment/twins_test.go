package segment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestClonesAreJudgedTogether: where nodes get one hardware address one after another, none of them is fit for less long
// than the others.
func TestClonesAreJudgedTogether(t *testing.T) {
	w := newWorld(3, 1)
	unfit := func() (all []string) {
		v := w.judge()
		for _, h := range w.nodes {
			if v.Of(h.name, vip, nil).Reason == SharedMAC {
				all = append(all, h.name)
			}
		}
		return all
	}
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, unfit()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	w.node(1).mac = w.node(3).mac
	check("at once")
	if _, next := w.memory.Judge(w.now, w.reports()); !next.Equal(w.now.Add(settles)) {
		t.Errorf("looked at again %s later", next.Sub(w.now))
	}
	w.now = w.now.Add(settles - time.Millisecond)
	w.node(2).mac = w.node(3).mac
	check("the third one, too")
	w.now = w.now.Add(time.Millisecond)
	check("after a while", "node1", "node2", "node3")
	w.node(2).mac = "52:54:00:00:00:02"
	check("one has an address of its own again", "node1", "node3")
	w.node(2).mac = w.node(3).mac
	check("and has not", "node1", "node2", "node3")
}

// TestWhoIsANodeIsNoWitness, by any of its addresses, as soon as it is known that it is one, and until it is none.
func TestWhoIsANodeIsNoWitness(t *testing.T) {
	for _, test := range []struct {
		name, witness, address, mac string
	}{
		{"by its other address", "2001:db8::7", "2001:db8::7/64", ""},
		{"by its hardware address", "fe80::2", "2001:db8::7/64", "52:54:00:00:00:02"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(3, 0)
			node := true
			judge := func(answer ingotv1.Answer) *Verdicts {
				nodes := w.reports()
				nodes[0].Segments[0].Witnesses = []*ingotv1.WitnessReport{{
					Address: test.witness, Mac: test.mac, Answer: answer, Source: ingotv1.WitnessReport_SOURCE_NEXT_HOP,
				}}
				if node {
					nodes[1].Links[0].Addresses = append(nodes[1].Links[0].Addresses, test.address)
				} else {
					nodes[1].Links[0].Mac = "52:54:00:00:00:77"
				}
				v, _ := w.memory.Judge(w.now, nodes)
				return v
			}
			check := func(what string, v *Verdicts, want Hearing) {
				t.Helper()
				if got := v.Of("node1", vip, nil); got.Witness != want || !got.Fit {
					t.Errorf("%s: %+v", what, got)
				}
			}
			check("answers", judge(ingotv1.Answer_ANSWER_ANSWERS), None)
			check("is silent", judge(ingotv1.Answer_ANSWER_SILENT), None)
			node = false
			check("is none", judge(ingotv1.Answer_ANSWER_ANSWERS), Heard)
			node = true
			check("is one again", judge(ingotv1.Answer_ANSWER_ANSWERS), None)
			if got := judge(ingotv1.Answer_ANSWER_ANSWERS).Witnesses("node3", "eth1"); len(got) > 0 {
				t.Errorf("witnesses %v", got)
			}
			// One that nobody else answers is not heard by that.
			part(w.nodes[:1], w.nodes[1:])
			for range 50 {
				w.now = w.now.Add(100 * time.Millisecond)
				judge(ingotv1.Answer_ANSWER_ANSWERS)
			}
			if got := judge(ingotv1.Answer_ANSWER_ANSWERS).Of("node1", vip, nil); got.Reason != Isolated {
				t.Errorf("cut off: %+v", got)
			}
		})
	}
}
