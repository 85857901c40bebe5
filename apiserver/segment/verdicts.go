package segment

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Verdicts are what was judged at one time. They do not change, and may be shared. The nil Verdicts know nothing, and
// find nothing wrong.
type Verdicts struct {
	topology *topology
	nodes    map[string]*Node
	// faults are those of links that have any, the worst first.
	faults map[place][]Fault
	// witness is what witnesses do on links where that is known.
	witness map[place]Hearing
}

// place is one link of one node, by name.
type place struct{ node, link string }

func (l *link) place() place { return place{l.node, l.name} }

// Of says whether a node can have an address that is announced on the named interfaces; on all, if none is.
func (v *Verdicts) Of(node string, a netip.Addr, interfaces []string) Verdict {
	if v == nil {
		return Verdict{Fit: true, Keeps: true}
	}
	m := v.topology.byName[node]
	if m == nil || len(m.links) == 0 {
		return Verdict{Fit: true, Keeps: true, Message: node + " has not said yet which links it has"}
	}
	view := v.topology.view(a, interfaces)
	w := view.ways[node]
	if len(w.links) == 0 {
		return v.unreached(m, a, interfaces, w, view.others)
	}
	best := v.choose(w)
	verdict := Verdict{Fit: true, Keeps: true, Link: best.name, Witness: v.witness[best.place()]}
	if w.anywhere {
		verdict.Message = fmt.Sprintf("no node has an address in the network of %s, so that it is announced on every link", a)
	}
	if faults := v.faults[best.place()]; len(faults) > 0 && faults[0].Reason != Undecided {
		f := faults[0]
		verdict.Fit, verdict.Keeps = false, f.Reason == HeldDown
		verdict.Reason, verdict.Message, verdict.Since = f.Reason, f.Message, f.Since
	}
	return verdict
}

// choose picks the first link without a fault, else the first.
func (v *Verdicts) choose(w way) *link {
	for _, l := range w.links {
		if faults := v.faults[l.place()]; len(faults) == 0 || faults[0].Reason == Undecided {
			return l
		}
	}
	return w.links[0]
}

// unreached is the verdict on a node without a link that does.
func (v *Verdicts) unreached(m *member, a netip.Addr, interfaces []string, w way, others string) Verdict {
	verdict := Verdict{Reason: w.reason}
	if w.broken != nil {
		verdict.Link = w.broken.name
		f := broken(w.broken)
		verdict.Message, verdict.Since = f.Message, f.Since
		return verdict
	}
	switch {
	case len(interfaces) > 0:
		verdict.Message = fmt.Sprintf("%s has no interface %s, which the L2Advertisements name", m.name, anyOf(interfaces))
	case others == "":
		verdict.Message = m.name + " has no link on which addresses can be announced"
	default:
		verdict.Message = fmt.Sprintf("no link of %s has an address in the network of %s; %s", m.name, a, others)
	}
	return verdict
}

// broken is the fault of a link that is down or does not do.
func broken(l *link) Fault {
	f := Fault{Interface: l.name, Reason: LinkDown, Since: l.since}
	switch {
	case l.up:
		f.Reason, f.Message = LinkUnfit, fmt.Sprintf("%s of %s %s", l.name, l.node, l.unfit)
	case l.enabled:
		f.Message = fmt.Sprintf("%s of %s has no carrier", l.name, l.node)
	default:
		f.Message = fmt.Sprintf("%s of %s is down", l.name, l.node)
	}
	return f
}

func anyOf(names []string) string {
	switch len(names) {
	case 1:
		return names[0]
	}
	return "of " + list(names)
}

// Faults are what is wrong with the links of a node, by link, the worst of each first.
func (v *Verdicts) Faults(node string) []Fault {
	if v == nil || v.topology.byName[node] == nil {
		return nil
	}
	var all []Fault
	for _, l := range v.topology.byName[node].links {
		all = append(all, v.faults[l.place()]...)
	}
	return all
}

// Link is the node's link over which an address is reached that is announced on the named interfaces, or on all. ok is
// false where there is none, or it is not known.
func (v *Verdicts) Link(node string, a netip.Addr, interfaces []string) (link string, ok bool) {
	if v == nil || v.topology.byName[node] == nil {
		return "", false
	}
	w := v.topology.view(a, interfaces).ways[node]
	switch {
	case len(w.links) > 0:
		return v.choose(w).name, true
	case w.broken != nil:
		return w.broken.name, true
	}
	return "", false
}

// Meeting is how two nodes hear each other: their links on one network, and an address of each there.
type Meeting struct {
	LocalLink, RemoteLink string
	Local, Remote         netip.Addr
	// MAC is the hardware address of the remote link.
	MAC string
}

// Meet says how a node hears another one on one of its links; preferably in the network of an address, which may be the
// zero Addr. ok is false where they have no network in common.
func (v *Verdicts) Meet(node, link, other string, a netip.Addr) (m Meeting, ok bool) {
	if v == nil || v.topology.byName[node] == nil || v.topology.byName[other] == nil {
		return Meeting{}, false
	}
	l := v.topology.byName[node].link(link)
	if l == nil {
		return Meeting{}, false
	}
	for _, own := range l.addrs {
		for _, r := range v.topology.byName[other].links {
			if !r.potential() {
				continue
			}
			for _, theirs := range r.addrs {
				if own.Masked() != theirs.Masked() || own.Addr() == theirs.Addr() {
					continue
				}
				better := !ok || own.Masked().Contains(a) && !netip.PrefixFrom(m.Local, own.Bits()).Masked().Contains(a) || r.usable() && !v.topology.byName[other].link(m.RemoteLink).usable()
				if better {
					m, ok = Meeting{LocalLink: l.name, RemoteLink: r.name, Local: own.Addr(), Remote: theirs.Addr(), MAC: r.mac}, true
				}
			}
		}
	}
	return m, ok
}

// Vouched says whether a connected node hears another one on a link of that one, and which does.
func (v *Verdicts) Vouched(node, link string) (by string, ok bool) {
	return "", false
}

// Gone says whether an owner has ceased to answer for an address without having said so, by the evidence of a standby;
// why explains it either way.
func (v *Verdicts) Gone(owner, by string, a netip.Addr) (gone bool, why string) {
	return false, ""
}

// Foreign is a host that is none of ours and uses an address, and the node that heard it; nil where none was.
func (v *Verdicts) Foreign(a netip.Addr) (rival *ingotv1.Layer2Rival, node string) {
	return nil, ""
}

// Witnesses are hosts on the segment of a node's link that are not nodes and that any node there knows of, without those
// that answer nobody; sorted.
func (v *Verdicts) Witnesses(node, link string) []string {
	return nil
}

// SharesMAC are the other nodes with links on the segment of a node's link that have its hardware address, sorted.
func (v *Verdicts) SharesMAC(node, link string) []string {
	if v == nil {
		return nil
	}
	faults := v.faults[place{node, link}]
	if i := slices.IndexFunc(faults, func(f Fault) bool { return f.Reason == SharedMAC }); i >= 0 {
		return faults[i].Nodes
	}
	return nil
}

// Memory is what a judge has to remember: since when things are as they are, and what has flapped. It is for one
// goroutine.
type Memory struct {
	read map[string]*reading
	// last is the topology that the readings make.
	last *topology
}

// reading is a node's links as they were read at a revision.
type reading struct {
	revision uint64
	*member
}

// Judge says what is wrong, and when to judge again though nothing is reported; the zero time means never. nodes are all
// that are known, in any order.
func (m *Memory) Judge(now time.Time, nodes []Node) (v *Verdicts, next time.Time) {
	v = &Verdicts{nodes: make(map[string]*Node, len(nodes)), faults: map[place][]Fault{}, witness: map[place]Hearing{}}
	v.topology = m.topology(nodes)
	for i := range nodes {
		v.nodes[nodes[i].Name] = &nodes[i]
	}
	for _, member := range v.topology.members {
		for _, l := range member.links {
			if !l.up && len(l.networks) > 0 {
				v.faults[l.place()] = []Fault{broken(l)}
			}
		}
	}
	return v, time.Time{}
}

// topology is that of before, if no node said anything new.
func (m *Memory) topology(nodes []Node) *topology {
	same := m.last != nil && len(nodes) == len(m.read)
	read := make(map[string]*reading, len(nodes))
	for _, n := range nodes {
		r := m.read[n.Name]
		if r == nil || n.Revision == 0 || r.revision != n.Revision {
			r, same = &reading{revision: n.Revision, member: reads(n)}, false
		}
		read[n.Name] = r
	}
	if same {
		return m.last
	}
	members := make([]*member, 0, len(read))
	for _, r := range read {
		members = append(members, r.member)
	}
	slices.SortFunc(members, func(a, b *member) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	m.read, m.last = read, newTopology(members)
	return m.last
}
