// Package shape bounds the shape of a request's body while it is read. The API's machinery bounds a body's size, but
// what it does with one costs the square of some of its measures: a merge patch of 50 KB that is nested 9,000 levels deep
// takes ten seconds, and 100,000 labels take as long. Nothing that anybody means is near these bounds.
package shape

import (
	"fmt"
	"io"
)

// Limits are the bounds of a body.
type Limits struct {
	// Depth is how many lists and objects may be within each other.
	Depth int
	// Members is how many an object may have. In block YAML, where objects cannot be told apart by their bytes alone, it
	// is how many all of them may have together.
	Members int
	// Key is the length of the longest name of a member, in bytes, as it is written.
	Key int
	// Name is the length of the longest text within one or two objects, where kind, name and namespace are; every
	// answer repeats these. 0 is no limit.
	Name int
}

// Error says which bound a body is beyond.
type Error struct{ text string }

// Error implements error.
func (e *Error) Error() string { return e.text }

// Reader reads a body. When the body goes beyond a bound, Read returns an *Error. What is neither JSON nor YAML is read
// as it is, for others to refuse.
type Reader struct {
	from   io.Reader
	limits Limits
	err    error

	style   style
	open    []level
	last    byte // the last byte that is no blank and in no text
	quoted  bool
	escaped bool
	key     bool // the text is the name of a member
	length  int  // of the text so far
	colons  int
}

type style int

const (
	unknown style = iota
	flow          // JSON, or YAML written like it
	block
)

type level struct {
	object  bool
	members int
}

// NewReader returns a reader of from within limits.
func NewReader(from io.Reader, limits Limits) *Reader { return &Reader{from: from, limits: limits} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.from.Read(p)
	for _, b := range p[:n] {
		if r.err = r.step(b); r.err != nil {
			return 0, r.err
		}
	}
	return n, err
}

func (r *Reader) step(b byte) error {
	switch r.style {
	case unknown:
		switch b {
		case ' ', '\t', '\r', '\n':
			return nil
		case '{', '[':
			r.style = flow
			return r.inFlow(b)
		}
		r.style = block
		return r.inBlock(b)
	case flow:
		return r.inFlow(b)
	}
	return r.inBlock(b)
}

// inBlock counts what may be members: colons that end a word.
func (r *Reader) inBlock(b byte) error {
	blank := b == ' ' || b == '\t' || b == '\r' || b == '\n'
	if r.last == ':' && (blank || b == '"' || b == '\'' || b == '{' || b == '[') {
		if r.colons++; r.colons > r.limits.Members {
			return &Error{fmt.Sprintf("the body has more than %d fields", r.limits.Members)}
		}
	}
	r.last = b
	return nil
}

func (r *Reader) inFlow(b byte) error {
	if r.quoted {
		return r.inText(b)
	}
	switch b {
	case ' ', '\t', '\r', '\n':
		return nil
	case '"':
		r.quoted, r.length = true, 0
		r.key = len(r.open) > 0 && r.open[len(r.open)-1].object && r.last != ':'
	case '{', '[':
		if len(r.open) == r.limits.Depth {
			return &Error{fmt.Sprintf("the body is nested more than %d levels deep", r.limits.Depth)}
		}
		r.open = append(r.open, level{object: b == '{', members: 1})
	case '}', ']':
		if len(r.open) > 0 {
			r.open = r.open[:len(r.open)-1]
		}
	case ',':
		if len(r.open) == 0 {
			break
		}
		top := &r.open[len(r.open)-1]
		if top.members++; top.object && top.members > r.limits.Members {
			return &Error{fmt.Sprintf("an object in the body has more than %d fields", r.limits.Members)}
		}
	}
	r.last = b
	return nil
}

func (r *Reader) inText(b byte) error {
	switch {
	case r.escaped:
		r.escaped = false
	case b == '\\':
		r.escaped = true
	case b == '"':
		r.quoted, r.last = false, b
		return nil
	}
	r.length++
	switch {
	case r.key && r.length > r.limits.Key:
		return &Error{fmt.Sprintf("the name of a field in the body is longer than %d bytes", r.limits.Key)}
	case !r.key && r.limits.Name > 0 && len(r.open) <= 2 && r.open[len(r.open)-1].object && r.length > r.limits.Name:
		return &Error{fmt.Sprintf("a text in the body is longer than %d bytes, where that cannot be right", r.limits.Name)}
	}
	return nil
}
