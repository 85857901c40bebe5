package live

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Clock issues resource versions: the time in milliseconds in the upper bits, and a counter in the lower 20, which
// begins anew, anywhere, in each millisecond. So they grow, also over restarts, and no two processes issue the same
// one but by a chance of one in a million for each millisecond in which both do: one that is not known here can be told
// apart, and those who bring it list again.
type Clock struct {
	now func() time.Time

	mu   sync.Mutex
	last uint64
}

// counterBits is what a version has besides the time.
const counterBits = 20

// NewClock returns a clock that goes by now. One serves all kinds of a process.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// next is higher than any before, also when the time goes back.
func (c *Clock) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := uint64(c.now().UnixMilli())<<counterBits | rand.Uint64N(1<<counterBits)
	c.last = max(c.last+1, fresh)
	return c.last
}
