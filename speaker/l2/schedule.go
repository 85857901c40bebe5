package l2

import (
	"net/netip"
	"time"
)

// deadline is when a claim wants to be ticked.
type deadline struct {
	at      time.Duration // since boot
	address netip.Addr
}

// schedule is a heap of deadlines, the next first. Those that a claim gave up stay until they are due.
type schedule []deadline

func (h schedule) Len() int           { return len(h) }
func (h schedule) Less(i, j int) bool { return h[i].at < h[j].at }
func (h schedule) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *schedule) Push(x any) { *h = append(*h, x.(deadline)) }

// Pop is for package heap.
func (h *schedule) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
