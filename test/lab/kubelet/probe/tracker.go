// Package probe asks containers whether they are started, alive and ready, and judges their answers as a kubelet does.
package probe

import corev1 "k8s.io/api/core/v1"

// Result is what is known of a container by one of its probes.
type Result int

// The results.
const (
	Unknown Result = iota
	Success
	Failure
)

// Tracker judges the answers to one probe: so many of a kind in a row change the result.
type Tracker struct {
	success, failure int32
	result           Result
	last             bool
	run              int32
}

// NewTracker begins with what is held to be true before the first answer.
func NewTracker(p *corev1.Probe, initial Result) *Tracker {
	return &Tracker{success: max(p.SuccessThreshold, 1), failure: max(p.FailureThreshold, 1), result: initial}
}

// Result is what the answers so far amount to.
func (t *Tracker) Result() Result { return t.result }

// Observe takes one answer, and says whether it changed the result.
func (t *Tracker) Observe(ok bool) (changed bool) {
	if t.run > 0 && t.last == ok {
		t.run++
	} else {
		t.last, t.run = ok, 1
	}
	next, needed := Failure, t.failure
	if ok {
		next, needed = Success, t.success
	}
	if t.run < needed || t.result == next {
		return false
	}
	t.result = next
	return true
}
