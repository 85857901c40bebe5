package segment

import (
	"fmt"
	"slices"
	"time"
)

// acquaintance is what is remembered of one node.
type acquaintance struct {
	read *reading
	// links are those that there is something to remember of.
	links map[string]*past
	presence
	// vacant is since when it says that addresses are vacant.
	vacant time.Time
}

// presence is what is remembered of a node's streams.
type presence struct {
	connected bool
	lost      time.Time
	hold      hold
}

// leave keeps of a node that is no more what is held against it.
func (a *acquaintance) leave() {
	a.read = unread(a.read.name)
	a.connected, a.vacant = false, time.Time{}
	for _, p := range a.links {
		*p = past{hold: p.hold, reason: p.reason}
	}
}

// attend keeps account of a node that comes and goes.
func (a *acquaintance) attend(v *Verdicts, n *Node, now time.Time) (next time.Time) {
	p := &a.presence
	switch {
	case p.connected && !n.Connected:
		p.lost = now
	case !p.connected && n.Connected && !p.lost.IsZero():
		p.hold.ended(p.lost, now, 1) // a restart is no fault
	}
	p.connected = n.Connected
	if !p.hold.held(now) {
		return time.Time{}
	}
	v.faults[place{node: n.Name}] = []Fault{{
		Reason: HeldDown, Since: p.hold.at,
		Message: fmt.Sprintf("the speaker of %s has come and gone repeatedly; it is given no address until it has stayed for a while", n.Name),
	}}
	return p.hold.until
}

// vacancy notes since when a standby says that addresses are vacant. Whether it is believed depends on when nodes were
// heard last, so that it is looked at again.
func (a *acquaintance) vacancy(n *Node, now time.Time) (next time.Time) {
	switch {
	case len(a.read.vacant) == 0 || !n.Connected:
		a.vacant = time.Time{}
		return time.Time{}
	case a.vacant.IsZero():
		a.vacant = now
	}
	if now.Sub(a.vacant) < lasts {
		return now.Add(soon)
	}
	return time.Time{}
}

// sameLinks says whether two members are the same as far as anything is decided by.
func sameLinks(a, b *member) bool {
	return slices.EqualFunc(a.links, b.links, func(a, b *link) bool {
		return a.name == b.name && a.mac == b.mac && a.up == b.up && a.enabled == b.enabled && a.unfit == b.unfit && a.routed == b.routed &&
			a.since.Equal(b.since) && slices.Equal(a.addrs, b.addrs) && slices.Equal(a.networks, b.networks)
	})
}
