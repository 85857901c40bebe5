package guard

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Verb is what a writer asks for.
type Verb string

// The verbs. Update names the resource version that it replaces; the others do not care.
const (
	Create Verb = "create"
	Update Verb = "update"
	Patch  Verb = "patch" // of the fields that are set
	Apply  Verb = "apply" // of all fields; creates what is not there
	Delete Verb = "delete"
	Get    Verb = "get"
)

// Unknown is the Reason of an operation that has no answer: the process died. It may have happened or not.
const Unknown = "Unknown"

// Operation is one request and its answer.
type Operation struct {
	ID     int
	Writer int
	Verb   Verb
	Key    Key
	Spec   Spec  // what is asked for
	Base   int64 // for Update: the resource version that is replaced

	// Called and Returned are moments of one clock of the test that never shows the same time twice.
	Called, Returned int64

	// Reason is that of the Status that answered, Unknown without an answer, or empty for success.
	Reason  string
	Message string
	// Version and Result are the resource version and the spec that a success returned.
	Version int64
	Result  Spec
}

// commits says whether the operation wrote something.
func (o Operation) commits() bool { return o.Verb != Get && o.Reason == "" }

// String shows request and answer.
func (o Operation) String() string {
	answer := fmt.Sprintf("resourceVersion %d", o.Version)
	if o.Reason != "" {
		answer = o.Reason + " " + o.Message
	}
	return fmt.Sprintf("operation %d: %s %s %+v: %s", o.ID, o.Verb, o.Key, o.Spec, answer)
}

// Settle finds out in etcd's history what became of operations without an answer, and whether answers and history
// agree: each success has its commit, each commit its operation, and a refused operation none. It returns the
// operations that happened or were answered; those that have no answer but happened return never.
func Settle(operations []Operation, commits []Commit) ([]Operation, []string) {
	var faults []string
	byVersion := make(map[int64]Operation, len(operations)) // of successful writes
	byID := make(map[string]int, len(operations))           // index of puts
	var lost []int                                          // deletions without an answer, in the order of their calls
	settled := slices.Clone(operations)
	for i, o := range settled {
		switch {
		case o.commits():
			byVersion[o.Version] = o
		case o.Reason == Unknown && o.Verb == Delete:
			lost = append(lost, i)
		}
		byID[strconv.Itoa(o.ID)] = i
	}
	slices.SortFunc(lost, func(a, b int) int { return cmp.Compare(settled[a].Called, settled[b].Called) })
	seen := make(map[int64]bool, len(commits))
	for _, c := range commits {
		seen[c.Revision] = true
		if o, ok := byVersion[c.Revision]; ok && o.Key == c.Key && (o.Verb == Delete) == c.Deleted {
			continue
		}
		i := -1
		if c.Deleted {
			// Any of the lost deletions of the object may be the one. The one that was called first fits wherever
			// another does.
			at := slices.IndexFunc(lost, func(i int) bool { return settled[i].Key == c.Key && settled[i].Version == 0 })
			if at >= 0 {
				i = lost[at]
			}
		} else if at, ok := byID[c.Operation]; ok && settled[at].Reason == Unknown {
			i = at
		}
		if i < 0 {
			faults = append(faults, fmt.Sprintf("revision %d: %s was written, and no operation says so", c.Revision, c.Key))
			continue
		}
		settled[i].Version, settled[i].Result, settled[i].Returned = c.Revision, c.Spec, math.MaxInt64
	}
	for version, o := range byVersion {
		if !seen[version] {
			faults = append(faults, fmt.Sprintf("%v: etcd does not know of it", o))
		}
	}
	settled = slices.DeleteFunc(settled, func(o Operation) bool { return o.Reason == Unknown && o.Version == 0 })
	for i := range settled {
		if settled[i].Reason == Unknown {
			settled[i].Reason = ""
		}
	}
	return settled, faults
}
