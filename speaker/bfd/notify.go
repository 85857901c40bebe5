package bfd

import (
	"sync"
	"time"
)

// maxPending bounds the changes that wait for a slow owner.
const maxPending = 256

// notifier calls an owner's function with one Status after another, in order, without making anybody wait. Its goroutine
// lives only while there is something to tell.
type notifier struct {
	changed func(Status)

	mu      sync.Mutex
	pending []Status
	running bool
	closed  bool
}

// add has a status told. A status waiting is replaced if the new one has the same states, for then it is no transition
// that would be lost; or if too many wait already.
func (n *notifier) add(s Status) {
	if n.changed == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	last := len(n.pending) - 1
	if last >= 0 && (n.pending[last].State == s.State && n.pending[last].RemoteState == s.RemoteState || last+1 >= maxPending) {
		n.pending[last] = s
	} else {
		n.pending = append(n.pending, s)
	}
	if !n.running {
		n.running = true
		go n.run()
	}
}

func (n *notifier) run() {
	for {
		n.mu.Lock()
		if n.closed || len(n.pending) == 0 {
			n.running, n.pending = false, nil
			n.mu.Unlock()
			return
		}
		s := n.pending[0]
		n.pending = n.pending[1:]
		n.mu.Unlock()
		n.changed(s)
	}
}

// close ends it: at most the call that is under way goes on.
func (n *notifier) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.pending = true, nil
}

// tellInterval is the least time between calls of the owner's function for anything less than a change of state, since
// neighbours may change what they say with every packet.
const tellInterval = 100 * time.Millisecond

// tell has the owner told of what changed. The caller holds mu.
func (s *Session) tell(now time.Time) {
	v, trouble := s.machine.view(), s.receiver.trouble.Load()
	if v == s.told && trouble == s.toldTrouble && !s.untold {
		return
	}
	if v.state == s.told.state && v.remoteState == s.told.remoteState && now.Sub(s.toldAt) < tellInterval {
		s.untold = true
		return
	}
	if v.state == Up && s.told.state != Up {
		s.discarded = 0
	}
	if (v.state == Up) != (s.told.state == Up) {
		s.askReflects = true
	}
	s.told, s.toldAt, s.toldTrouble, s.untold = v, now, trouble, false
	s.notifier.add(s.status())
}
