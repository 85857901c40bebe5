package matrix

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Records are kept by name, and every fault needs a last step that mends.
func TestFaults(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults(Loss) {
		if seen[f.Name] {
			t.Errorf("two faults are called %q", f.Name)
		}
		seen[f.Name] = true
		if len(f.Steps) < 2 || f.Kind == "" {
			t.Errorf("%s: %d steps, kind %q", f.Name, len(f.Steps), f.Kind)
		}
		for i, s := range f.Steps {
			if s.Right == nil || s.Do == nil || s.Hold <= 0 {
				t.Errorf("%s: step %d is incomplete", f.Name, i)
				continue
			}
			for _, home := range everyNode() {
				if len(s.Right("node2", home, false)) == 0 {
					t.Errorf("%s: step %d: no node is right for the addresses of %s", f.Name, i, home)
				}
			}
		}
	}
}

func TestWhatWasDoneIsUndoneInReverse(t *testing.T) {
	var done []string
	var s scene
	broken := errors.New("broken")
	for _, name := range []string{"a", "b", "c"} {
		s.later(func(context.Context) error {
			done = append(done, name)
			if name == "b" {
				return broken
			}
			return nil
		})
	}
	if err := s.undoAll(t.Context()); !errors.Is(err, broken) {
		t.Errorf("the error is %v, want %v", err, broken)
	}
	if diff := cmp.Diff([]string{"c", "b", "a"}, done); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRecordsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	if got, err := Load(path); err != nil || len(got) != 0 {
		t.Fatalf("no file: %v, %v", got, err)
	}
	want := []Record{
		{Build: "b", Run: 1, Fault: "f", Row: "f", Kind: Unplanned, Samples: []Sample{{Address: "192.0.2.1", ClientGap: Milliseconds(1500 * time.Microsecond)}}},
		{Build: "b", Run: 2, Fault: "f", Row: "g", Kind: Planned, Wrong: []string{"x"}},
	}
	for _, r := range want {
		if err := Append(path, []Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSummary(t *testing.T) {
	gap := func(ms int) []Sample {
		return []Sample{{ClientGap: Milliseconds(time.Duration(ms) * time.Millisecond)}}
	}
	records := []Record{
		{Row: "cut", Kind: Unplanned, Samples: gap(100)},
		{Row: "cut", Kind: Unplanned, Samples: gap(1000)},
		{Row: "stop", Kind: Planned, Samples: []Sample{{Sent: 100, Lost: 1}}},
		{Row: "cut", Kind: Unplanned, Samples: gap(300)},
		{Row: "loss", Kind: Lossy, Still: true, Samples: []Sample{{Lost: 50, Moves: 1}}},
		{Row: "well", Kind: Unplanned, Samples: gap(999)},
	}
	var got []string
	for _, s := range Summarize(records) {
		got = append(got, s.Row+" "+s.ClientMedian.String()+" "+s.ClientWorst.String()+" "+strings.Join(s.Misses, ", "))
	}
	want := []string{"cut 300 1000 gap", "stop 0 0 1 lost", "loss 0 0 moved", "well 999 999 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
