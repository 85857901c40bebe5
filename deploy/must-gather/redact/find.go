package redact

import "strings"

// finder finds many texts at once, in one pass. A text that it looks for has at least leastLearned bytes.
type finder struct {
	begin []uint64            // a bit for each beginning of three bytes that there is
	forms map[uint32][]string // by beginning
}

func newFinder() finder {
	return finder{begin: make([]uint64, 1<<24/64), forms: map[uint32][]string{}}
}

func beginning(a, b, c byte) uint32 { return uint32(a) | uint32(b)<<8 | uint32(c)<<16 }

func (f *finder) add(form string) {
	k := beginning(form[0], form[1], form[2])
	for _, known := range f.forms[k] {
		if known == form {
			return
		}
	}
	f.begin[k/64] |= 1 << (k % 64)
	f.forms[k] = append(f.forms[k], form)
}

// longest is the length of the longest form that stands at i.
func (f *finder) longest(text []byte, i int) (n int) {
	k := beginning(text[i], text[i+1], text[i+2])
	if f.begin[k/64]&(1<<(k%64)) == 0 {
		return 0
	}
	for _, form := range f.forms[k] {
		if end := i + len(form); len(form) > n && end <= len(text) && string(text[i:end]) == form && (!isWord(form) || alone(text, i, end)) {
			n = len(form)
		}
	}
	return n
}

// alone says that no letter, digit or underscore is beside a word.
func alone(text []byte, from, to int) bool {
	return (from == 0 || !inWord(text[from-1])) && (to == len(text) || !inWord(text[to]))
}

func inWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// hide puts the marker in the place of all that is found. Where finds overlap, nothing of any is left.
func (f *finder) hide(text []byte) []byte {
	var out []byte
	kept, from, to := 0, 0, 0 // the find that is being extended is text[from:to]
	flush := func() {
		if to > from {
			out = append(append(out, text[kept:from]...), Marker...)
			kept = to
		}
	}
	for i := 0; i+leastLearned <= len(text); i++ {
		n := f.longest(text, i)
		if n == 0 {
			continue
		}
		if i >= to {
			flush()
			from = i
		}
		to = max(to, i+n)
	}
	flush()
	if out == nil {
		return text
	}
	return append(out, text[kept:]...)
}

// isWord says of a form that it may be a part of other words by chance.
func isWord(form string) bool {
	if len(form) < 6 {
		return true
	}
	if len(form) >= longestWord {
		return false
	}
	lower := strings.IndexFunc(form, func(c rune) bool { return c < 'a' || c > 'z' }) < 0
	digits := strings.IndexFunc(form, func(c rune) bool { return c < '0' || c > '9' }) < 0
	return lower || digits
}
