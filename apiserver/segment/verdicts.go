package segment

import (
	"fmt"
	"net/netip"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Verdicts are what was judged at one time. They do not change, and may be shared. The nil Verdicts know nothing, and
// find nothing wrong.
type Verdicts struct {
	topology *topology
	court    *court
	// faults are those of links that have any, the worst first; those of a node as a whole are at a place without link.
	faults map[place][]Fault
	// foreign are hosts that are none of ours, by the address that they use.
	foreign map[netip.Addr]stranger
	// witnesses are the hosts to ask, by network.
	witnesses map[netip.Prefix][]string
}

// stranger is a host that uses an address, and the node that heard it.
type stranger struct {
	rival *ingotv1.Layer2Rival
	node  string
}

// place is one link of one node, by name.
type place struct{ node, link string }

func (l *link) place() place { return place{l.node, l.name} }

// Of says whether a node can have an address that is announced on the named interfaces; on all, if none is.
func (v *Verdicts) Of(node string, a netip.Addr, interfaces []string) Verdict {
	if v == nil {
		return Verdict{Fit: true, Keeps: true}
	}
	m := v.topology.member(node)
	if m == nil || len(m.links) == 0 {
		return Verdict{Fit: true, Keeps: true, Message: node + " has not said yet which links it has"}
	}
	view := v.topology.view(a, interfaces)
	w := view.of(v.topology, m)
	if len(w.links) == 0 {
		return v.unreached(m, a, interfaces, w, view.others)
	}
	best := v.choose(w)
	verdict := Verdict{Fit: true, Keeps: true, Link: best.name}
	if e := v.court.ear(best.place()); e != nil {
		verdict.Witness = e.hearing()
	}
	if w.anywhere {
		verdict.Message = everywhere
	}
	if f := v.worst(best.place()); f != nil {
		verdict.Fit, verdict.Keeps = false, f.Reason == HeldDown
		verdict.Reason, verdict.Message, verdict.Since = f.Reason, f.Message, f.Since
	}
	return verdict
}

// everywhere is the remark on a node that has an address of which no node is in the network.
const everywhere = "no node has an address in this network, so that the address is announced on every link"

// worst is the fault of a link, or else of its node, that keeps addresses away; nil if there is none.
func (v *Verdicts) worst(at place) *Fault {
	if len(v.faults) == 0 {
		return nil
	}
	for _, at := range []place{at, {node: at.node}} {
		if faults := v.faults[at]; len(faults) > 0 && faults[0].Reason != Undecided {
			return &faults[0]
		}
	}
	return nil
}

// choose picks the first link without a fault, else one that is only held down, else the first.
func (v *Verdicts) choose(w way) *link {
	best := w.links[0]
	if len(w.links) == 1 {
		return best
	}
	held := false
	for _, l := range w.links {
		switch f := v.worst(l.place()); {
		case f == nil:
			return l
		case f.Reason == HeldDown && !held:
			best, held = l, true
		}
	}
	return best
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
	case w.astray != nil:
		verdict.Link = w.astray.name
		verdict.Message = fmt.Sprintf("%s of %s has no address in the network of %s; %s", w.astray.name, m.name, a, others)
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
	case l.usable():
		f.Reason, f.Message = LinkUnfit, fmt.Sprintf("%s of %s has no link-local IPv6 address, and cannot answer for IPv6 addresses without", l.name, l.node)
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

// Faults are what is wrong with a node and its links, by link, the worst of each first.
func (v *Verdicts) Faults(node string) []Fault {
	if v == nil || v.topology.member(node) == nil {
		return nil
	}
	all := slices.Clone(v.faults[place{node: node}])
	for _, l := range v.topology.member(node).links {
		all = append(all, v.faults[l.place()]...)
	}
	return all
}

// Link is the node's link over which an address is reached that is announced on the named interfaces, or on all. ok is
// false where there is none, or it is not known.
func (v *Verdicts) Link(node string, a netip.Addr, interfaces []string) (link string, ok bool) {
	if v == nil || v.topology.member(node) == nil {
		return "", false
	}
	w := v.topology.view(a, interfaces).of(v.topology, v.topology.member(node))
	switch {
	case len(w.links) > 0:
		return v.choose(w).name, true
	case w.broken != nil:
		return w.broken.name, true
	case w.astray != nil:
		return w.astray.name, true
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
	if v == nil || v.topology.member(node) == nil || v.topology.member(other) == nil {
		return Meeting{}, false
	}
	l := v.topology.member(node).link(link)
	if l == nil {
		return Meeting{}, false
	}
	for _, own := range l.addrs {
		for _, r := range v.topology.member(other).links {
			if !r.potential() {
				continue
			}
			for _, theirs := range r.addrs {
				if own.Masked() != theirs.Masked() || own.Addr() == theirs.Addr() {
					continue
				}
				better := !ok || own.Masked().Contains(a) && !netip.PrefixFrom(m.Local, own.Bits()).Masked().Contains(a) || r.usable() && !v.topology.member(other).link(m.RemoteLink).usable()
				if better {
					m, ok = Meeting{LocalLink: l.name, RemoteLink: r.name, Local: own.Addr(), Remote: theirs.Addr(), MAC: r.mac}, true
				}
			}
		}
	}
	return m, ok
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
