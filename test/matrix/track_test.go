package matrix

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

func anybody(string) bool { return true }

// track asks every 10 ms for a second; each of the given is who answers, from when until when.
func track(who ...[3]any) Track {
	var t Track
	for at := time.Duration(0); at < time.Second; at += Interval {
		t.Asked = append(t.Asked, at)
		for _, w := range who {
			if from, to := time.Duration(w[1].(int))*ms, time.Duration(w[2].(int))*ms; at >= from && at < to {
				t.Answers = append(t.Answers, Answer{At: at + ms, Of: len(t.Asked) - 1, By: w[0].(string)})
			}
		}
	}
	return t
}

func TestTracks(t *testing.T) {
	type result struct {
		Gap     time.Duration
		Lost    int
		AtOnce  int
		Longest time.Duration
		Moves   int
	}
	for name, c := range map[string]struct {
		track Track
		want  result
	}{
		"all is well":       {track([3]any{"a", 0, 1000}), result{ms, 0, 1, 0, 0}},
		"nobody":            {track(), result{time.Second, 100, 0, 0, 0}},
		"a move with a gap": {track([3]any{"a", 0, 300}, [3]any{"b", 500, 1000}), result{201 * ms, 20, 1, 0, 1}},
		"a clean move":      {track([3]any{"a", 0, 300}, [3]any{"b", 300, 1000}), result{ms, 0, 1, 0, 1}},
		"an overlap":        {track([3]any{"a", 0, 500}, [3]any{"b", 400, 1000}), result{ms, 0, 2, 100 * ms, 1}},
		"the one request that both answer": {
			track([3]any{"a", 0, 310}, [3]any{"b", 300, 1000}), result{ms, 0, 2, 10 * ms, 1},
		},
		"there and back": {
			track([3]any{"a", 0, 200}, [3]any{"b", 200, 600}, [3]any{"a", 600, 1000}), result{ms, 0, 1, 0, 2},
		},
		"an interloper": {track([3]any{"a", 0, 1000}, [3]any{"b", 400, 450}), result{ms, 0, 2, 50 * ms, 0}},
		"three":         {track([3]any{"a", 0, 1000}, [3]any{"b", 400, 600}, [3]any{"c", 500, 700}), result{ms, 0, 3, 200 * ms, 0}},
		"one that pauses for less than it takes to count": {
			track([3]any{"a", 0, 400}, [3]any{"a", 450, 1000}), result{51 * ms, 5, 1, 0, 0},
		},
		"silent in the end": {track([3]any{"a", 0, 700}), result{300 * ms, 30, 1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var got result
			got.Gap = c.track.Gap(time.Second)
			got.Lost = c.track.Lost(time.Second)
			got.AtOnce, got.Longest = c.track.AtOnce(anybody)
			got.Moves = c.track.Moves()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A measuring process that could not run for a while says nothing about the network.
func TestNoGapWhereNobodyAsked(t *testing.T) {
	track := Track{
		Asked:   []time.Duration{0, 10 * ms, 500 * ms, 510 * ms},
		Answers: []Answer{{At: ms, Of: 0}, {At: 11 * ms, Of: 1}, {At: 502 * ms, Of: 2}, {At: 511 * ms, Of: 3}},
	}
	if gap := track.Gap(520 * ms); gap != 2*ms {
		t.Errorf("the gap is %v, want 2ms", gap)
	}
}

func TestWindow(t *testing.T) {
	whole := track([3]any{"a", 0, 1000})
	got := whole.Window(205*ms, 300*ms)
	want := Track{Asked: whole.Asked[21:30]}
	for i := range want.Asked {
		want.Answers = append(want.Answers, Answer{At: want.Asked[i] + ms, Of: i, By: "a"})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
