package segment

import "container/heap"

// schedule is a heap of hosts, the next one due first.
type schedule []*host

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].position, s[j].position = i, j
}

// Push is for package heap.
func (s *schedule) Push(x any) {
	h := x.(*host)
	h.position = len(*s)
	*s = append(*s, h)
}

// Pop is for package heap.
func (s *schedule) Pop() any {
	old := *s
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*s, h.position = old[:len(old)-1], -1
	return h
}

// put has a host looked at when it is due.
func (s *schedule) put(h *host) {
	if h.position >= 0 {
		heap.Fix(s, h.position)
		return
	}
	heap.Push(s, h)
}

// drop takes a host out.
func (s *schedule) drop(h *host) {
	if h.position >= 0 {
		heap.Remove(s, h.position)
	}
}
