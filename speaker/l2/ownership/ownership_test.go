package ownership

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	p := player{claim: New(func(d time.Duration) time.Duration { return d })}
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "-- ") {
			continue
		}
		words := strings.Fields(line)
		if line == "" || words[0] == "#" {
			fmt.Fprintln(&p.out, line)
			continue
		}
		if err := p.line(line, words); err != nil {
			return "", fmt.Errorf("line %q: %w", line, err)
		}
	}
	return p.out.String(), nil
}

// player plays one script. Its clock begins an hour after boot.
type player struct {
	claim   *Claim
	senses  Senses
	next    time.Duration
	order   Order
	heard   []int // ranks that are up
	witness bool  // it answers all the time
	out     strings.Builder
}

const begin = time.Hour

func (p *player) line(line string, words []string) error {
	if words[0] == "run" { // run until MS
		fmt.Fprintln(&p.out, line)
		ms, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		p.pass(begin + time.Duration(ms)*time.Millisecond)
		return nil
	}
	ms, err := strconv.Atoi(words[0])
	if err != nil || len(words) < 2 {
		return fmt.Errorf("no time and event: %w", err)
	}
	now := begin + time.Duration(ms)*time.Millisecond
	p.pass(now - 1)
	fmt.Fprintln(&p.out, line)
	if words[1] == "hears" {
		if err := p.hear(words[2:]); err != nil {
			return err
		}
		p.step(now, Tick{})
		return nil
	}
	ev, err := parse(words[1:])
	if err != nil {
		return err
	}
	if o, ok := ev.(Order); ok {
		p.order = o
		p.know()
	}
	p.step(now, ev)
	return nil
}

func (p *player) pass(until time.Duration) {
	for p.next != 0 && p.next <= until {
		p.step(p.next, Tick{})
	}
}

func (p *player) step(now time.Duration, ev Event) {
	c := p.claim
	if p.witness {
		p.senses.WitnessAt = now
	}
	a := c.Step(now, p.senses, ev)
	p.next = a.Next
	at := (now - begin).Milliseconds()
	if len(a.Probe) > 0 {
		fmt.Fprintf(&p.out, "-- %d probe on %s\n", at, strings.Join(a.Probe, ","))
	}
	if a.Verify {
		fmt.Fprintf(&p.out, "-- %d verify\n", at)
	}
	if len(a.Announce) > 0 {
		fmt.Fprintf(&p.out, "-- %d announce on %s\n", at, strings.Join(a.Announce, ","))
	}
	if !a.Changed {
		return
	}
	line := fmt.Sprintf("-- %d %s term %d", at, c.Phase(), c.Term())
	if c.Taken() {
		line += " taken"
	}
	if on := c.Interfaces(); len(on) > 0 {
		line += " " + strings.Join(on, ",")
	}
	if c.VacantSince() != 0 {
		line += fmt.Sprintf(" vacant since %d", (c.VacantSince() - begin).Milliseconds())
	}
	if a.Urgent {
		line += " !"
	}
	if why := c.Reason(); why != "" {
		line += ": " + why
	}
	fmt.Fprintln(&p.out, line)
}

// hear reads what is heard from now on, any of: centre · fading (the centre, for standbys only) · a rank (BFD with it is
// up) · a rank and ? (its frames arrive) or - (it has taken leave) · witness · silent (a witness that does not answer) · nobody.
func (p *player) hear(words []string) error {
	p.senses, p.heard, p.witness = Senses{WitnessAt: p.senses.WitnessAt}, nil, false
	p.know()
	for _, w := range words {
		switch w {
		case "centre":
			p.senses.Centre = Fresh
		case "fading":
			p.senses.Centre = Fading
		case "witness":
			p.senses.Witness, p.senses.Segment, p.witness = WitnessHeard, true, true
		case "silent":
			p.senses.Witness = WitnessSilent
		case "nobody":
		default:
			rank, err := strconv.Atoi(strings.TrimRight(w, "?-"))
			if err != nil {
				return fmt.Errorf("who is %q: %w", w, err)
			}
			if strings.HasSuffix(w, "-") {
				p.senses.Peers[rank].Left = true
				continue
			}
			p.senses.Peers[rank].Heard = true
			if !strings.HasSuffix(w, "?") {
				p.senses.Peers[rank].Up, p.senses.Segment = true, true
			}
		}
	}
	return nil
}

// know has a BFD session with each node of the order.
func (p *player) know() {
	for rank := range p.senses.Peers {
		p.senses.Peers[rank].Known = rank < len(p.order.Nodes) && rank != p.order.Rank
	}
}

// parse reads: order owner|standby TERM NODES LINKS [restored] [local] [refresh MS] · links LINKS [renewed LINKS] · heard LINK
// LAST-BYTE-OF-MAC RANK|foreign|unlisted [probe] · endpoints here|none|unknown · frozen · release. NODES is a,me,c by rank;
// LINKS is a,b or - for none. Our own MAC ends in 50.
func parse(words []string) (Event, error) {
	switch words[0] {
	case "order":
		o := Order{Role: Owner, Nodes: names(words[3]), Links: names(words[4])}
		if words[1] == "standby" {
			o.Role = Standby
		}
		o.Rank = slices.Index(o.Nodes, "me")
		rest := words[5:]
		o.Restored, o.Local = slices.Contains(rest, "restored"), slices.Contains(rest, "local")
		if i := slices.Index(rest, "refresh"); i >= 0 {
			ms, err := strconv.Atoi(rest[i+1])
			if err != nil {
				return nil, err
			}
			o.Refresh = time.Duration(ms) * time.Millisecond
		}
		var err error
		o.Term, err = strconv.ParseUint(words[2], 10, 64)
		return o, err
	case "links":
		l := Links{Names: names(words[1])}
		if len(words) > 2 {
			l.Renewed = names(words[3])
		}
		return l, nil
	case "heard":
		b, err := strconv.ParseUint(words[2], 16, 8)
		if err != nil {
			return nil, err
		}
		h := Heard{Link: words[1], MAC: MAC{0x52, 0x54, 5: byte(b)}, Ours: MAC{0x52, 0x54, 5: 0x50}, Probe: words[len(words)-1] == "probe"}
		switch words[3] {
		case "foreign":
			h.Rank = Foreign
		case "unlisted":
			h.Rank = Unlisted
		default:
			h.Rank, err = strconv.Atoi(words[3])
		}
		return h, err
	case "endpoints":
		return Endpoints{Known: words[1] != "unknown", Here: words[1] == "here"}, nil
	case "frozen":
		return Frozen{}, nil
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
