package ownership

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestScripts runs the scripts in testdata. Each line is an event, after the time in milliseconds at which it
// happens, or "--" and what follows from it; "run until N" lets time pass. See play for the words.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("REWRITE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("script (-want +got); REWRITE=1 accepts it:\n%s", diff)
			}
		})
	}
}

// play copies a script, with the outputs replaced by what really follows.
func play(script string) (string, error) {
	c := New(func(d time.Duration) time.Duration { return d })
	start := time.Unix(0, 0)
	var next time.Time
	var out strings.Builder
	step := func(now time.Time, ev Event) {
		a := c.Step(now, ev)
		next = a.Next
		at := now.Sub(start).Milliseconds()
		if len(a.Probe) > 0 {
			fmt.Fprintf(&out, "-- %d probe on %s\n", at, strings.Join(a.Probe, ","))
		}
		if len(a.Announce) > 0 {
			fmt.Fprintf(&out, "-- %d announce on %s\n", at, strings.Join(a.Announce, ","))
		}
		if a.Changed {
			line := fmt.Sprintf("-- %d %s term %d %s: %s", at, c.Phase(), c.Term(), strings.Join(c.Interfaces(), ","), c.Reason())
			fmt.Fprintln(&out, strings.TrimRight(line, ": "))
		}
	}
	pass := func(until time.Time) {
		for !next.IsZero() && !next.After(until) {
			step(next, Tick{})
		}
	}
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "-- ") {
			continue
		}
		words := strings.Fields(line)
		if line == "" || words[0] == "#" {
			fmt.Fprintln(&out, line)
			continue
		}
		if words[0] == "run" { // run until MS
			fmt.Fprintln(&out, line)
			ms, err := strconv.Atoi(words[2])
			if err != nil {
				return "", err
			}
			pass(start.Add(time.Duration(ms) * time.Millisecond))
			continue
		}
		ms, err := strconv.Atoi(words[0])
		if err != nil || len(words) < 2 {
			return "", fmt.Errorf("line %q: %w", line, err)
		}
		now := start.Add(time.Duration(ms) * time.Millisecond)
		pass(now.Add(-1))
		ev, err := parse(words[1:])
		if err != nil {
			return "", fmt.Errorf("line %q: %w", line, err)
		}
		fmt.Fprintln(&out, line)
		step(now, ev)
	}
	return out.String(), nil
}

// parse reads: order TERM LINKS [restored] · links LINKS · heard LINK LAST-BYTE-OF-MAC [probe] · release.
// LINKS is a,b or - for none. Our own address ends in 50.
func parse(words []string) (Event, error) {
	last := words[len(words)-1]
	switch words[0] {
	case "order":
		term, err := strconv.ParseUint(words[1], 10, 64)
		return Order{Term: term, Links: names(words[2]), Restored: last == "restored"}, err
	case "links":
		return Links{Names: names(words[1])}, nil
	case "heard":
		b, err := strconv.ParseUint(words[2], 16, 8)
		return Heard{Link: words[1], MAC: MAC{0x52, 0x54, 5: byte(b)}, Ours: MAC{0x52, 0x54, 5: 0x50}, Probe: last == "probe"}, err
	case "release":
		return Release{}, nil
	}
	return nil, fmt.Errorf("unknown event %q", words[0])
}

func names(s string) []string {
	if s == "-" {
		return nil
	}
	return strings.Split(s, ",")
}
