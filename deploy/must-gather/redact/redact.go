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
	words      []string // forms that are hidden where they are words of their own
	forms      []string // forms that are hidden anywhere
	generation int
}

// New returns a Redactor that knows no secret yet.
func New() *Redactor { return &Redactor{values: map[string]bool{}} }

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
		if isWord(f) {
			r.words = insert(r.words, f)
		} else {
			r.forms = insert(r.forms, f)
		}
	}
}

// Text hides secrets in a text of any kind: those that were learned, and what looks like one.
func (r *Redactor) Text(text []byte) []byte {
	text = bytes.Clone(text)
	for _, p := range patterns {
		if p.hint == nil || containsFold(text, p.hint) {
			text = p.find.ReplaceAllFunc(text, p.hide)
		}
	}
	return r.Known(text)
}

// Known hides the secrets that were learned, and nothing else.
func (r *Redactor) Known(text []byte) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, f := range r.forms {
		text = bytes.ReplaceAll(text, []byte(f), []byte(Marker))
	}
	for _, w := range r.words {
		text = replaceWord(text, []byte(w))
	}
	return text
}

func containsFold(text []byte, hints []string) bool {
	lower := bytes.ToLower(text)
	for _, h := range hints {
		if bytes.Contains(lower, []byte(h)) {
			return true
		}
	}
	return false
}

// replaceWord hides word where no letter, digit or underscore is beside it.
func replaceWord(text, word []byte) []byte {
	if !bytes.Contains(text, word) {
		return text
	}
	out := make([]byte, 0, len(text))
	for before := byte(' '); ; {
		i := bytes.Index(text, word)
		if i < 0 {
			return append(out, text...)
		}
		if i > 0 {
			before = text[i-1]
		}
		end := i + len(word)
		out = append(out, text[:i]...)
		if inWord(before) || end < len(text) && inWord(text[end]) {
			out = append(out, word...)
		} else {
			out = append(out, Marker...)
		}
		before, text = word[len(word)-1], text[end:]
	}
}

func inWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
