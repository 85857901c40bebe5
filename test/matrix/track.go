package matrix

import (
	"slices"
	"time"
)

// Track is what was asked about one address, and what came back; each in the order of time. Times are since the start
// of the recording.
type Track struct {
	Asked   []time.Duration
	Answers []Answer
}

// Answer is one answer.
type Answer struct {
	At time.Duration
	Of int    // the request, as an index of Asked; -1: not known
	By string // who gave it, if that is known
}

// Window is the part of a track from one time to another. What was asked before does not count, nor does its answer.
func (t Track) Window(from, to time.Duration) Track {
	first, _ := slices.BinarySearch(t.Asked, from)
	last, _ := slices.BinarySearch(t.Asked, to)
	w := Track{Asked: t.Asked[first:max(first, last)]}
	for _, a := range t.Answers {
		if a.At < from || a.At >= to || a.Of >= 0 && a.Of < first {
			continue
		}
		if a.Of >= 0 {
			a.Of -= first
		}
		w.Answers = append(w.Answers, a)
	}
	return w
}

// Gap is the longest time for which requests went out and no answer came, until the end: from the first request after
// an answer until the next answer. Where nobody asked there is no gap, so that a measuring process that had to wait for
// the processor is not taken for a silent network.
func (t Track) Gap(end time.Duration) time.Duration {
	var gap time.Duration
	waiting, since, asked := false, time.Duration(0), 0
	for _, a := range t.Answers {
		for ; asked < len(t.Asked) && t.Asked[asked] <= a.At; asked++ {
			if !waiting {
				waiting, since = true, t.Asked[asked]
			}
		}
		if waiting {
			gap, waiting = max(gap, a.At-since), false
		}
	}
	if !waiting && asked < len(t.Asked) {
		waiting, since = true, t.Asked[asked]
	}
	if waiting {
		gap = max(gap, end-since)
	}
	return gap
}

// Lost is how many requests were never answered, of those sent before a time, since later ones may still be.
func (t Track) Lost(before time.Duration) int {
	answered := make(map[int]bool, len(t.Answers))
	for _, a := range t.Answers {
		answered[a.Of] = true
	}
	lost := 0
	for i, at := range t.Asked {
		if at < before && !answered[i] {
			lost++
		}
	}
	return lost
}

// hold is how many requests in a row somebody may leave unanswered and still count as one who answers.
const hold = 10

// spell is a time in which one answers, as indexes of requests, both inclusive.
type spell struct {
	by          string
	first, last int
}

// spells are the times in which each answered, by their beginning. An answer belongs to the last request before it.
func (t Track) spells() []spell {
	var all []spell
	open := make(map[string]int) // by whom, index of all
	request := -1
	for _, a := range t.Answers {
		for request+1 < len(t.Asked) && t.Asked[request+1] <= a.At {
			request++
		}
		if i, ok := open[a.By]; ok && request-all[i].last <= hold {
			all[i].last = request
			continue
		}
		open[a.By] = len(all)
		all = append(all, spell{a.By, request, request})
	}
	return all
}

// AtOnce is how many of those that count answered at the same time, at most, and the longest time for which there were
// two or more. count says who counts.
func (t Track) AtOnce(count func(by string) bool) (most int, longest time.Duration) {
	var spells []spell
	for _, s := range t.spells() {
		if s.first >= 0 && count(s.by) {
			spells = append(spells, s)
			most = 1
		}
	}
	for i, s := range spells {
		together := 1
		for j, o := range spells {
			if i == j || o.first > s.first || o.last < s.first || o.first == s.first && j > i {
				continue
			}
			together++ // o answered when s began
			until := min(s.last, o.last)
			longest = max(longest, t.Asked[until]-t.Asked[s.first]+Interval)
		}
		most = max(most, together)
	}
	return most, longest
}

// Moves is how often another one became who alone answers.
func (t Track) Moves() int {
	moves, owner := 0, ""
	spells := t.spells()
	for i, s := range spells {
		// Who gave only a few answers while another went on did not take anything over.
		covered := slices.ContainsFunc(spells, func(o spell) bool { return o != s && o.first <= s.first && o.last > s.last })
		if covered {
			continue
		}
		if i > 0 && owner != "" && s.by != owner {
			moves++
		}
		owner = s.by
	}
	return moves
}

// By is who answered, in alphabetical order.
func (t Track) By() []string {
	var names []string
	for _, a := range t.Answers {
		if !slices.Contains(names, a.By) {
			names = append(names, a.By)
		}
	}
	slices.Sort(names)
	return names
}
