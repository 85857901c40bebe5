package segment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// settles is how long a hardware address has to be shared for that to count. Addresses are given to clones one after
// another: a node that is to get the same one in a moment should be given nothing meanwhile.
const settles = 300 * time.Millisecond

// twins notes which of the links with one hardware address are of different nodes and on one segment.
func (t *topology) twins(links []*link) {
	for _, l := range links {
		var others []*link
		for _, other := range links {
			if l.node != other.node && collide(l, other) {
				others = append(others, other)
			}
		}
		if len(others) > 0 {
			t.shared[l.place()] = others
		} else {
			delete(t.shared, l.place())
		}
	}
}

// unique says whether a hardware address is one that only one host should have: not none, and not that of a virtual router
// (RFC 5798 section 7.3), which moves between hosts.
func unique(mac string) bool {
	return mac != "" && mac != "00:00:00:00:00:00" && !strings.HasPrefix(mac, "00:00:5e:00:01:") && !strings.HasPrefix(mac, "00:00:5e:00:02:")
}

// collide says whether links with one hardware address may be on one segment. They are if they are in one network. Where
// one of them is not, links of one name are meant for one segment, too: who clones a machine may well have configured one
// of the clones wrongly. But links with one address are those of networks that every node has for itself, as for its
// containers.
func collide(a, b *link) bool {
	for _, p := range a.addrs {
		for _, q := range b.addrs {
			if p.Addr() == q.Addr() {
				return false
			}
		}
	}
	return a.name == b.name || meets(a, b)
}

// sharedMAC is the fault of a link that has twins; those whose nodes are off do not count.
func (c *court) sharedMAC(l *link, since time.Time) (Fault, bool) {
	over := map[string][]string{}
	var nodes, names []string
	for _, t := range c.last.shared[l.place()] {
		if c.off(t.place()) {
			continue
		}
		if over[t.name] == nil {
			names = append(names, t.name)
		}
		over[t.name] = append(over[t.name], t.node)
		nodes = append(nodes, t.node)
	}
	if len(nodes) == 0 {
		return Fault{}, false
	}
	slices.Sort(names)
	clauses := make([]string, 0, len(names))
	for _, name := range names {
		slices.Sort(over[name])
		clauses = append(clauses, name+" of "+list(over[name]))
	}
	slices.Sort(nodes)
	return Fault{
		Interface: l.name, Reason: SharedMAC, Since: since, Nodes: slices.Compact(nodes),
		Message: fmt.Sprintf("%s of %s has the hardware address %s, and so %s %s; nodes with a cloned /etc/machine-id get bridges with one address",
			l.name, l.node, l.mac, verb(len(nodes), "has", "have"), list(clauses)),
	}, true
}

// off says whether a node is not connected, and others find that it is not on the segment either.
func (c *court) off(at place) bool {
	n := c.node(at.node)
	if n == nil || n.Connected {
		return false
	}
	if _, ok := c.vouched(at); ok {
		return false
	}
	for _, w := range c.about(at) {
		if w.answer == silent && c.fresh(w.ear) {
			return true
		}
	}
	return false
}
