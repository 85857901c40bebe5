package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// member is a node with its links, as it last reported them.
type member struct {
	name  string
	links []*link // by name
}

func (m *member) link(name string) *link {
	i, ok := slices.BinarySearchFunc(m.links, name, func(l *link, name string) int { return cmp.Compare(l.name, name) })
	if !ok {
		return nil
	}
	return m.links[i]
}

// link is one link of one node.
type link struct {
	node string
	name string
	mac  string
	up   bool
	// enabled by the administrator.
	enabled bool
	// unfit is why it does not do, though it is up.
	unfit string
	since time.Time
	// addrs are its addresses, without those that mean only the node itself or only the link.
	addrs []netip.Prefix
	// networks are what it reaches without a router.
	networks []netip.Prefix
	routed   bool // there are routers on it
}

// usable says whether addresses can be announced on the link.
func (l *link) usable() bool { return l.up && l.unfit == "" }

// potential says whether they could be if it were up.
func (l *link) potential() bool { return !l.up || l.unfit == "" }

// reads makes a member of reports.
func reads(n Node) *member {
	m := &member{name: n.Name, links: make([]*link, 0, len(n.Links))}
	for _, r := range n.Links {
		m.links = append(m.links, readLink(n.Name, r))
	}
	slices.SortFunc(m.links, func(a, b *link) int { return cmp.Compare(a.name, b.name) })
	return m
}

func readLink(node string, r *ingotv1.LinkReport) *link {
	l := &link{node: node, name: r.GetName(), mac: strings.ToLower(r.GetMac()), up: r.GetUp(), enabled: r.GetEnabled(), unfit: r.GetUnfit(),
		routed: len(r.GetNextHops()) > 0}
	if ms := r.GetSinceMs(); ms > 0 {
		l.since = time.UnixMilli(ms)
	}
	for _, text := range r.GetAddresses() {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsLoopback() {
			continue
		}
		l.addrs = append(l.addrs, p)
		l.networks = append(l.networks, p.Masked())
	}
	for _, text := range r.GetOnLink() {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Bits() == 0 || p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() {
			continue
		}
		l.networks = append(l.networks, p.Masked())
	}
	slices.SortFunc(l.networks, netip.Prefix.Compare)
	l.networks = slices.Compact(l.networks)
	return l
}

// topology is the links of all nodes and the networks that they are in. It does not change, but for the views that it
// remembers.
type topology struct {
	members []*member // by name
	byName  map[string]*member
	// networks are the links that are in each, by node and name.
	networks map[netip.Prefix][]*link
	// bits are the lengths of the prefixes of networks, longest first.
	bits []int
	// shared are the links on one segment that have the hardware address of a link, by that.
	shared map[place][]*link

	mu    sync.Mutex
	views map[question]*view
}

// question is what a view answers: all addresses of the network are reached alike.
type question struct {
	network    netip.Prefix // the zero Prefix where no link is in a network with the address
	interfaces string
}

func newTopology(members []*member) *topology {
	t := &topology{members: members, byName: make(map[string]*member, len(members)), networks: map[netip.Prefix][]*link{}, views: map[question]*view{}}
	lengths := map[int]bool{}
	for _, m := range members {
		t.byName[m.name] = m
		for _, l := range m.links {
			if !l.potential() {
				continue
			}
			for _, p := range l.networks {
				t.networks[p] = append(t.networks[p], l)
				lengths[p.Bits()] = true
			}
		}
	}
	for bits := range lengths {
		t.bits = append(t.bits, bits)
	}
	slices.SortFunc(t.bits, func(a, b int) int { return cmp.Compare(b, a) })
	t.shared = twins(members)
	return t
}

// smallest is the smallest network that contains an address; the zero Prefix where none does.
func (t *topology) smallest(a netip.Addr) netip.Prefix {
	for _, bits := range t.bits {
		if p, err := a.Prefix(bits); err == nil && t.networks[p] != nil {
			return p
		}
	}
	return netip.Prefix{}
}

// around returns the networks that contain an address, the smallest first.
func (t *topology) around(a netip.Addr) []netip.Prefix {
	var found []netip.Prefix
	for _, bits := range t.bits {
		if p, err := a.Prefix(bits); err == nil && t.networks[p] != nil {
			found = append(found, p)
		}
	}
	return found
}

// view is how every node reaches the addresses of one network.
type view struct {
	// ways are by node.
	ways map[string]way
	// others says which nodes reach them and how, for nodes that do not.
	others string
}

// way is how one node reaches an address.
type way struct {
	// links are those that reach it, the best first; where there are none, reason says why.
	links  []*link
	reason Reason
	// broken is the link that would reach it, if any.
	broken *link
	// anywhere says that no node is in the address's network, so that all links are as good.
	anywhere bool
}

// view returns how nodes reach an address.
func (t *topology) view(a netip.Addr, interfaces []string) *view {
	q := question{network: t.smallest(a), interfaces: strings.Join(interfaces, "\x00")}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.views[q]; v != nil {
		return v
	}
	networks := t.around(a)
	v := &view{ways: make(map[string]way, len(t.members))}
	var who routes
	for _, m := range t.members {
		w, over := t.way(m, networks, interfaces)
		v.ways[m.name] = w
		if len(w.links) > 0 && over.IsValid() {
			who.add(m.name, w.links[0].name, over)
		}
	}
	v.others = who.String()
	for name, w := range v.ways { // a link without an address that has the name of those that reach it, and is down
		if w.reason == NoLink && len(interfaces) == 0 {
			if l := t.byName[name].link(who.most()); l != nil && !l.up {
				w.reason, w.broken = LinkDown, l
				v.ways[name] = w
			}
		}
	}
	t.views[q] = v
	return v
}

// way works out how one node reaches addresses in all of networks, the smallest first; over is the network of its own
// that it does so by, if any.
func (t *topology) way(m *member, networks []netip.Prefix, interfaces []string) (w way, over netip.Prefix) {
	named := func(l *link) bool { return len(interfaces) == 0 || slices.Contains(interfaces, l.name) }
	for _, p := range networks {
		for _, l := range m.links {
			if !named(l) || !slices.Contains(l.networks, p) || !l.potential() {
				continue
			}
			if l.usable() {
				w.links, over = append(w.links, l), p
			} else if w.broken == nil {
				w.broken = l
			}
		}
		if len(w.links) > 0 {
			w.broken = nil
			return w, over
		}
	}
	w.anywhere = len(networks) == 0 && len(interfaces) == 0
	for _, l := range m.links {
		switch {
		case !named(l) || len(networks) > 0 && len(interfaces) == 0:
		case l.usable():
			w.links = append(w.links, l)
		case w.broken == nil && len(interfaces) > 0:
			w.broken = l
		}
	}
	switch {
	case len(w.links) > 0 && (w.broken == nil || len(interfaces) > 0):
		w.broken = nil
		slices.SortStableFunc(w.links, func(a, b *link) int { return cmp.Compare(rank(a), rank(b)) })
	case w.broken == nil:
		w.reason = NoLink
	case !w.broken.up:
		w.reason = LinkDown
	default:
		w.reason = LinkUnfit
	}
	return w, netip.Prefix{}
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
