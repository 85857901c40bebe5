package l2

import "regexp"

// Exclude says anew which interfaces are left alone; the expressions match anywhere in a name.
func (s *Speaker) Exclude(expressions []*regexp.Regexp) {
	s.applying.Lock()
	s.exclude = expressions
	s.applying.Unlock()
	signal(s.relink)
}
