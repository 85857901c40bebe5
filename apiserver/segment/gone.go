package segment

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Vouched says whether a connected node hears another one on a link of that one, and which does. Where nodes watch it by
// BFD, only that counts: ARP and Neighbor Discovery are answered by the kernel, even when nobody is left who could answer
// for addresses of Services.
func (v *Verdicts) Vouched(node, link string) (by string, ok bool) {
	if v == nil {
		return "", false
	}
	return v.court.vouched(place{node, link})
}

func (c *court) vouched(at place) (by string, ok bool) {
	denied := false
	for _, w := range c.about(at) {
		switch {
		case w.up && (c.fresh(w.ear) || !ok):
			by, ok = w.ear.node, true
			if c.fresh(w.ear) {
				return by, true
			}
		case w.watched && !w.up && c.fresh(w.ear):
			denied = true
		}
	}
	if denied {
		return "", false
	}
	if ok {
		return by, true
	}
	for _, w := range c.about(at) {
		if !w.watched && w.answer == answers {
			return w.ear.node, true
		}
	}
	return "", false
}

// Gone says whether an owner has ceased to answer for an address without having said so, by the evidence of a standby;
// why explains it either way. The standby must find the owner silent by BFD and the address vacant, and must be heard on
// the segment itself, or it is the one that is cut off. The owner's own word and that of other nodes that hear it by BFD
// count for more.
func (v *Verdicts) Gone(owner, by string, a netip.Addr) (gone bool, why string) {
	if v == nil || owner == by {
		return false, ""
	}
	c := v.court
	standby := c.node(by)
	if standby == nil || !standby.Connected {
		return false, by + " is not connected"
	}
	if c.now.Sub(standby.heard(c.now)) > Fresh {
		return false, by + " has not been heard for a moment"
	}
	report := c.read[c.last.index[by]].vacant[a]
	if report == nil {
		return false, fmt.Sprintf("%s has not found that nobody answers for %s", by, a)
	}
	var down *ear
	var over string // the owner's link
	for _, e := range c.ears(by) {
		switch s := e.peer(owner); {
		case s == nil || !s.watched: // whoever watches an owner asks all others on the link as often
		case s.up:
			return false, fmt.Sprintf("%s hears %s by BFD on %s", by, owner, e.link)
		case down == nil || slices.Contains(report.GetInterfaces(), e.link):
			down, over = e, c.last.linkOf(owner, s.addr)
		}
	}
	if down == nil {
		return false, fmt.Sprintf("%s does not watch %s by BFD", by, owner)
	}
	if !down.hearsBesides(owner) {
		return false, fmt.Sprintf("%s hears nobody on %s, so that it may be cut off itself", by, down.link)
	}
	for _, w := range c.about(place{owner, over}) {
		if w.up && w.ear.node != by && c.fresh(w.ear) {
			return false, fmt.Sprintf("%s hears %s by BFD on %s", w.ear.node, owner, w.ear.link)
		}
	}
	if hears, word := v.ownWord(owner, by, over); hears {
		return false, word
	}
	return true, fmt.Sprintf("%s is silent on %s, and nobody answers for %s there, as %s finds", owner, down.link, a, by)
}

// ownWord says whether an owner says that it hears others on its link than a standby that does not hear it. An owner that
// stands still does not count, nor one that has nobody to hear.
func (v *Verdicts) ownWord(owner, by, over string) (hears bool, word string) {
	c := v.court
	n := c.node(owner)
	if n == nil || !n.Connected || c.now.Sub(n.heard(c.now)) > Fresh {
		return false, ""
	}
	if l := c.last.link(owner, over); l != nil && !l.up {
		return false, ""
	}
	e := c.ear(place{owner, over})
	switch {
	case e == nil:
		return true, fmt.Sprintf("%s is connected and says nothing of whom it hears on %s", owner, over)
	case e.hearsBesides(by):
		return true, fmt.Sprintf("%s is connected and hears others than %s on %s", owner, by, over)
	case !e.asked:
		return true, fmt.Sprintf("%s is connected and does not know yet whom it hears on %s", owner, over)
	}
	return false, ""
}

// Foreign is a host that is none of ours and uses an address, and the node that heard it; nil where none was.
func (v *Verdicts) Foreign(a netip.Addr) (rival *ingotv1.Layer2Rival, node string) {
	if v == nil {
		return nil, ""
	}
	s := v.foreign[a]
	return s.rival, s.node
}

// ForeignAddresses are the addresses that Foreign knows of, sorted.
func (v *Verdicts) ForeignAddresses() []netip.Addr {
	if v == nil {
		return nil
	}
	all := make([]netip.Addr, 0, len(v.foreign))
	for a := range v.foreign {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// strangers are the hosts that connected nodes say use addresses. One with the hardware address of a node is none.
func (c *court) strangers() map[netip.Addr]stranger {
	found := map[netip.Addr]stranger{}
	for i, m := range c.last.members {
		n := c.nodes[i]
		if !n.Connected || !c.read[i].strange {
			continue
		}
		for _, r := range n.Layer2 {
			rival, a := r.GetRival(), parse(r.GetAddress())
			if rival == nil || rival.GetNode() != "" || len(c.last.macs[strings.ToLower(rival.GetMac())]) > 0 || !a.IsValid() {
				continue
			}
			if before, known := found[a]; !known || before.rival.GetLastMs() < rival.GetLastMs() {
				found[a] = stranger{rival: rival, node: m.name}
			}
		}
	}
	return found
}
