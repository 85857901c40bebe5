package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// view is how every node reaches the addresses of one network.
type view struct {
	networks   []netip.Prefix
	interfaces []string
	// ways are by position of the node.
	ways []way
	// others says which nodes reach them and how, for nodes that do not; most is the name of the link that most do so by.
	others, most string
}

// way is how one node reaches an address.
type way struct {
	// links are those that reach it, the best first; where there are none, reason says why.
	links  []*link
	reason Reason
	// over is the network that the links are in, if any is.
	over netip.Prefix
	// broken is the link that would reach it, if any.
	broken *link
	// astray is a link that has the right name, and addresses in other networks only.
	astray *link
	// anywhere says that no node is in the address's network, so that all links are as good.
	anywhere bool
}

// view returns how nodes reach an address.
func (t *topology) view(a netip.Addr, interfaces []string) *view {
	q := question{network: t.smallest(a), ipv6: a.Is6(), interfaces: strings.Join(interfaces, "\x00")}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.views[q]; v != nil {
		return v
	}
	networks := t.around(a)
	ways := make([]way, len(t.members))
	for i, m := range t.members {
		ways[i] = t.way(m, networks, q.ipv6, interfaces)
	}
	v := t.newView(networks, slices.Clone(interfaces), ways)
	t.views[q] = v
	return v
}

func (t *topology) newView(networks []netip.Prefix, interfaces []string, ways []way) *view {
	v := &view{networks: networks, interfaces: interfaces, ways: ways}
	var who routes
	for i, w := range ways {
		if len(w.links) > 0 && w.over.IsValid() {
			who.add(t.members[i].name, w.links[0].name, w.over)
		}
	}
	v.others, v.most = who.String(), who.most()
	return v
}

// of is how one member reaches the addresses.
func (v *view) of(t *topology, m *member) way {
	w := v.ways[t.index[m.name]]
	if !w.over.IsValid() && v.others != "" && len(w.links) > 0 {
		w = v.strict(w)
	}
	if w.reason == NoLink && len(v.interfaces) == 0 {
		// One that is down may have lost its addresses with that, but has the name of those that reach them.
		if l := m.link(v.most); l != nil && !l.up {
			w.reason, w.broken = LinkDown, l
		}
	}
	return w
}

// strict is the way of a node whose links have the names that L2Advertisements name, and are not in the network in which
// those of other nodes are. A link without an address does; one that has addresses is in a wrong network, whatever its name.
func (v *view) strict(w way) way {
	ipv6 := v.networks[0].Addr().Is6()
	links := make([]*link, 0, len(w.links))
	for _, l := range w.links {
		if slices.ContainsFunc(l.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() == ipv6 }) {
			w.astray = cmp.Or(w.astray, l)
		} else {
			links = append(links, l)
		}
	}
	if w.links = links; len(links) == 0 {
		w.reason = NoLink
	}
	return w
}

// way works out how one node reaches addresses of a family in all of networks, the smallest first.
func (t *topology) way(m *member, networks []netip.Prefix, ipv6 bool, interfaces []string) (w way) {
	named := func(l *link) bool { return len(interfaces) == 0 || slices.Contains(interfaces, l.name) }
	for _, p := range networks {
		for _, l := range m.links {
			if !named(l) || !slices.Contains(l.networks, p) || !l.potential() {
				continue
			}
			if l.serves(ipv6) {
				w.links, w.over = append(w.links, l), p
			} else if w.broken == nil {
				w.broken = l
			}
		}
		if len(w.links) > 0 {
			w.broken = nil
			return w
		}
	}
	w.anywhere = len(networks) == 0 && len(interfaces) == 0
	for _, l := range m.links {
		switch {
		case !named(l) || len(networks) > 0 && len(interfaces) == 0:
		case l.serves(ipv6):
			w.links = append(w.links, l)
		case w.broken == nil && (len(interfaces) > 0 || ipv6 && l.usable()):
			w.broken = l
		}
	}
	switch {
	case len(w.links) > 0 && (w.broken == nil || len(interfaces) > 0 || w.anywhere):
		w.broken = nil
		slices.SortStableFunc(w.links, func(a, b *link) int { return cmp.Compare(rank(a), rank(b)) })
	case w.broken == nil:
		w.reason = NoLink
	case !w.broken.up:
		w.reason = LinkDown
	default:
		w.reason = LinkUnfit
	}
	return w
}

// rank orders links where all are as good: those with routers, those with addresses, the rest.
func rank(l *link) int {
	switch {
	case l.routed:
		return 0
	case len(l.addrs) > 0:
		return 1
	}
	return 2
}
