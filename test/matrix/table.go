package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	aimGap = Milliseconds(time.Second) // unplanned: no gap of the client's is as long
)

// Summary is what all runs of one row have shown.
type Summary struct {
	Row  string
	Kind Kind
	Runs int
	// The gaps of the addresses that the fault concerns.
	ClientMedian, ClientWorst Milliseconds
	ProbeMedian, ProbeWorst   Milliseconds
	Sent, Lost                int
	AtOnce                    int
	Overlap                   Milliseconds // the longest
	Moves                     int          // the most, of one address in one run
	// OthersGap and OthersMoves are the worst of the addresses that it does not concern.
	OthersGap   Milliseconds
	OthersMoves int
	Wrong       int
	// Misses says what was not as aimed at, in words; empty if all was.
	Misses []string
}

// Summarize sums up the records of each row, in the order in which rows first appear.
func Summarize(records []Record) []Summary {
	var rows []string
	byRow := make(map[string][]Record)
	for _, r := range records {
		if byRow[r.Row] == nil {
			rows = append(rows, r.Row)
		}
		byRow[r.Row] = append(byRow[r.Row], r)
	}
	var all []Summary
	for _, row := range rows {
		all = append(all, summarize(row, byRow[row]))
	}
	return all
}

func summarize(row string, records []Record) Summary {
	s := Summary{Row: row, Kind: records[0].Kind, Runs: len(records)}
	var client, probe []Milliseconds
	unsettled, unnamed := 0, 0
	for _, r := range records {
		for _, x := range r.Samples {
			client, probe = append(client, x.ClientGap), append(probe, x.ProbeGap)
			s.Sent, s.Lost = s.Sent+x.Sent, s.Lost+x.Lost
			s.AtOnce, s.Overlap, s.Moves = max(s.AtOnce, x.AtOnce), max(s.Overlap, x.Overlap), max(s.Moves, x.Moves)
		}
		for _, x := range r.Others {
			s.OthersGap, s.OthersMoves = max(s.OthersGap, x.ClientGap), max(s.OthersMoves, x.Moves)
		}
		s.Wrong += len(r.Wrong)
		if r.Unnamed != "" {
			unnamed++
		}
		if len(r.Unsettled) > 0 {
			unsettled++
		}
	}
	s.ClientMedian, s.ClientWorst = middle(client)
	s.ProbeMedian, s.ProbeWorst = middle(probe)
	miss := func(when bool, format string, args ...any) {
		if when {
			s.Misses = append(s.Misses, fmt.Sprintf(format, args...))
		}
	}
	miss(s.Wrong > 0, "%d wrong", s.Wrong)
	miss(s.Kind == Unplanned && s.ClientWorst >= aimGap, "gap")
	miss(s.Kind == Planned && s.Lost > 0, "%d lost", s.Lost)
	miss(records[0].Still && s.Moves > 0, "moved")
	miss(s.OthersMoves > 0, "others moved")
	miss(unnamed > 0, "cause not named in %d", unnamed)
	miss(unsettled > 0, "%d not settled", unsettled)
	return s
}

// middle is the median and the largest.
func middle(all []Milliseconds) (median, worst Milliseconds) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[len(all)-1]
}

// String says the duration in whole milliseconds.
func (m Milliseconds) String() string {
	return fmt.Sprintf("%.0f", float64(m)/float64(time.Millisecond))
}

// Print writes the summaries as a table of Markdown, whose columns are as wide as need be.
func Print(w io.Writer, summaries []Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...any) {
		for _, c := range cells {
			fmt.Fprintf(t, "| %v\t", c)
		}
		fmt.Fprintln(t, "|")
	}
	row("fault", "runs", "client's gap, ms: median", "worst", "prober's: median", "worst", "lost", "at once", "for ms", "moves",
		"others' gap", "moves", "wrong", "as aimed at")
	row(slices.Repeat([]any{"---"}, 14)...)
	for _, s := range summaries {
		verdict := "yes"
		if len(s.Misses) > 0 {
			verdict = "**no**: " + strings.Join(s.Misses, ", ")
		}
		row(s.Row, s.Runs, s.ClientMedian, s.ClientWorst, s.ProbeMedian, s.ProbeWorst, fmt.Sprintf("%d of %d", s.Lost, s.Sent), s.AtOnce, s.Overlap, s.Moves,
			s.OthersGap, s.OthersMoves, s.Wrong, verdict)
	}
	return t.Flush()
}
