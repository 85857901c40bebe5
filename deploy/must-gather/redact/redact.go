// Package redact takes secrets out of what is collected from a cluster. It works in two ways that cover for each other: values
// in places that are known to hold secrets are hidden where they stand, and remembered; whatever was remembered is hidden
// wherever else it stands, in any of the encodings in which programs write a value.
package redact

import (
	"bytes"
	"sync"
)

// Marker stands where a secret was.
const Marker = "<redacted>"

// Redactor remembers secrets and hides them. It may be used by several goroutines.
type Redactor struct {
	mu         sync.RWMutex
	values     map[string]bool
	forms      finder
	generation int
}

// New returns a Redactor that knows no secret yet.
func New() *Redactor { return &Redactor{values: map[string]bool{}, forms: newFinder()} }

// Generation grows with every secret that is learned: what was redacted at an older one is to be redacted again.
func (r *Redactor) Generation() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.generation
}

// Learn remembers a secret. Values of one or two bytes are not remembered: they would take away half of the text; they are hidden
// only where they stand. Certificates are no secrets.
func (r *Redactor) Learn(value string) {
	for _, v := range parts(value) {
		r.learn(v)
	}
}

func (r *Redactor) learn(value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values[value] {
		return
	}
	r.values[value] = true
	r.generation++
	for _, f := range encodings(value) {
		r.forms.add(f)
	}
}

// Text hides secrets in a text of any kind: those that were learned, and what looks like one.
func (r *Redactor) Text(text []byte) []byte { return r.Known(looksLike(text)) }

// Known hides the secrets that were learned, and nothing else.
func (r *Redactor) Known(text []byte) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.forms.hide(bytes.Clone(text))
}
