package segment

import (
	"cmp"
	"maps"
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
	// ipv6 says that it has a link-local IPv6 address, as every link that does IPv6 must (RFC 4291 section 2.1): neighbour discovery
	// is spoken from it.
	ipv6 bool
}

// usable says whether addresses can be announced on the link.
func (l *link) usable() bool { return l.up && l.unfit == "" }

// serves says whether those of a family can be.
func (l *link) serves(ipv6 bool) bool { return l.usable() && (l.ipv6 || !ipv6) }

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
		l.ipv6 = l.ipv6 || err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
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
	// members are by name of the node; index says where each is.
	members []*member
	index   map[string]int
	// networks counts the links that are in each.
	networks map[netip.Prefix]int
	// bits are the lengths of the prefixes of networks, longest first.
	bits []int
	// shared are the links on one segment that have the hardware address of a link, by that.
	shared map[place][]*link
	// macs are the links by hardware address. They are handed on to the next topology, and are for the judge alone.
	macs map[string][]*link
	// addresses are those of all links, likewise.
	addresses map[netip.Addr]int

	mu    sync.Mutex
	views map[question]*view
}

// question is what a view answers: all addresses of the network are reached alike.
type question struct {
	network    netip.Prefix // the zero Prefix where no link is in a network with the address
	ipv6       bool
	interfaces string
}

// newTopology makes one of members, sorted by name.
func newTopology(members []*member) *topology {
	t := &topology{members: members, index: make(map[string]int, len(members)), networks: map[netip.Prefix]int{}, shared: map[place][]*link{},
		macs: map[string][]*link{}, addresses: map[netip.Addr]int{}, views: map[question]*view{}}
	touched := map[string]bool{}
	for i, m := range members {
		t.index[m.name] = i
		t.enter(m, touched)
	}
	t.settle(touched)
	return t
}

// with is the topology with some members, of the same names, in the place of others. The judge does not use t afterwards.
func (t *topology) with(changed map[int]*member) *topology {
	n := &topology{members: slices.Clone(t.members), index: t.index, networks: maps.Clone(t.networks), shared: maps.Clone(t.shared),
		macs: t.macs, addresses: t.addresses, views: map[question]*view{}}
	touched := map[string]bool{}
	for i, m := range changed {
		n.leave(t.members[i], touched)
		n.members[i] = m
		n.enter(m, touched)
	}
	n.settle(touched)
	if len(n.networks) != len(t.networks) {
		return n
	}
	for p := range n.networks {
		if t.networks[p] == 0 {
			return n
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for q, v := range t.views { // they hold but for what changed
		ways := slices.Clone(v.ways)
		for i, m := range changed {
			ways[i] = n.way(m, v.networks, q.ipv6, v.interfaces)
		}
		n.views[q] = n.newView(v.networks, v.interfaces, ways)
	}
	return n
}

// enter adds a member's links; touched gets their hardware addresses.
func (t *topology) enter(m *member, touched map[string]bool) {
	for _, l := range m.links {
		for _, p := range l.addrs {
			t.addresses[p.Addr()]++
		}
		if l.potential() {
			for _, p := range l.networks {
				t.networks[p]++
			}
		}
		if l.usable() && unique(l.mac) {
			t.macs[l.mac] = append(t.macs[l.mac], l)
			touched[l.mac] = true
		}
	}
}

// leave takes them out.
func (t *topology) leave(m *member, touched map[string]bool) {
	for _, l := range m.links {
		for _, p := range l.addrs {
			if t.addresses[p.Addr()]--; t.addresses[p.Addr()] == 0 {
				delete(t.addresses, p.Addr())
			}
		}
		if l.potential() {
			for _, p := range l.networks {
				if t.networks[p]--; t.networks[p] == 0 {
					delete(t.networks, p)
				}
			}
		}
		if l.usable() && unique(l.mac) {
			t.macs[l.mac] = slices.DeleteFunc(t.macs[l.mac], func(o *link) bool { return o == l })
			if len(t.macs[l.mac]) == 0 {
				delete(t.macs, l.mac)
			}
			touched[l.mac] = true
		}
		delete(t.shared, l.place())
	}
}

// settle works out what follows from the links, of which those with the hardware addresses touched have changed.
func (t *topology) settle(touched map[string]bool) {
	lengths := map[int]bool{}
	for p := range t.networks {
		lengths[p.Bits()] = true
	}
	t.bits = slices.SortedFunc(maps.Keys(lengths), func(a, b int) int { return cmp.Compare(b, a) })
	for mac := range touched {
		t.twins(t.macs[mac])
	}
}

// member is a node with its links, nil if it is not known.
func (t *topology) member(name string) *member {
	if i, ok := t.index[name]; ok {
		return t.members[i]
	}
	return nil
}

// smallest is the smallest network that contains an address; the zero Prefix where none does.
func (t *topology) smallest(a netip.Addr) netip.Prefix {
	for _, bits := range t.bits {
		if p, err := a.Prefix(bits); err == nil && t.networks[p] != 0 {
			return p
		}
	}
	return netip.Prefix{}
}

// around returns the networks that contain an address, the smallest first.
func (t *topology) around(a netip.Addr) []netip.Prefix {
	var found []netip.Prefix
	for _, bits := range t.bits {
		if p, err := a.Prefix(bits); err == nil && t.networks[p] != 0 {
			found = append(found, p)
		}
	}
	return found
}
