package plan

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// lan is what the tests say of a network that eth1 of every node is in, with addresses 10.20.30.x and 1000::x.
type lan struct {
	// unfit says why a node is not fit, for all addresses or (by "node address") for one; heldDown are among them, and may
	// keep what they have.
	unfit    map[string]string
	heldDown map[string]bool
	// heard are nodes that a witness answers.
	heard map[string]bool
	// vouched says who hears a node.
	vouched map[string]string
	// gone says, by "owner standby", that a standby knows that an owner is gone.
	gone map[string]bool
	// twins are nodes with one MAC.
	twins     []string
	witnesses []string
}

func newLAN() *lan {
	return &lan{unfit: map[string]string{}, heldDown: map[string]bool{}, heard: map[string]bool{}, vouched: map[string]string{}, gone: map[string]bool{}}
}

func (l *lan) Of(node string, a netip.Addr, _ []string) segment.Verdict {
	v := segment.Verdict{Fit: true, Keeps: true, Link: "eth1"}
	if l.heard[node] {
		v.Witness = segment.Heard
	}
	for _, key := range []string{node, node + " " + a.String()} {
		if why, ok := l.unfit[key]; ok {
			v.Fit, v.Keeps, v.Message = false, l.heldDown[node], why
		}
	}
	return v
}

func (l *lan) Network(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(24)
	return p
}

func (l *lan) Link(string, netip.Addr, []string) (string, bool) { return "eth1", true }

func (l *lan) Vouched(node, _ string) (string, bool) {
	by, ok := l.vouched[node]
	return by, ok
}

func (l *lan) Gone(owner, by string, _ netip.Addr) (bool, string) {
	if l.gone[owner+" "+by] {
		return true, by + " does not hear " + owner
	}
	return false, ""
}

func (l *lan) Meet(node, link, other string, _ netip.Addr) (segment.Meeting, bool) {
	return segment.Meeting{LocalLink: link, RemoteLink: "eth1", Local: addressOf(node), Remote: addressOf(other), MAC: "mac-" + other}, true
}

// addressOf is 10.20.30.N of node-a and the others, in the order of the alphabet, by the last letter.
func addressOf(node string) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 20, node[len(node)-2], node[len(node)-1]})
}

func (l *lan) Witnesses(string, string) []string { return l.witnesses }

func (l *lan) SharesMAC(node, _ string) []string {
	if !slices.Contains(l.twins, node) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.twins), func(n string) bool { return n == node })
}

// standbys is who stands by for each address: "10.0.0.1": {"node-b", "node-c"}.
func standbys(out Output) map[string][]string {
	all := map[string][]string{}
	for name, n := range out.Nodes {
		for _, item := range n.Items[ingotv1.Lane_LANE_LAYER2] {
			if l2 := item.GetLayer2Address(); l2.GetRole() == ingotv1.Layer2Address_ROLE_STANDBY {
				all[l2.Address] = append(all[l2.Address], name)
			}
		}
	}
	for _, names := range all {
		slices.Sort(names)
	}
	return all
}

func segmentOf(out Output, node string) *ingotv1.Layer2Segment {
	return out.Nodes[node].Items[ingotv1.Lane_LANE_LAYER2]["layer2-segment/eth1"].GetLayer2Segment()
}

// finds makes a node say that it found an address without its owner.
func (f *fixture) finds(node, addr string) {
	facts := f.Facts[node]
	facts.Vacant = maps.Clone(facts.Vacant)
	if facts.Vacant == nil {
		facts.Vacant = map[netip.Addr]bool{}
	}
	facts.Vacant[netip.MustParseAddr(addr)] = true
	f.Facts[node] = facts
}

// told gives a node the orders that it owns these addresses, and no others, with their terms.
func (f *fixture) told(node string, orders map[string]uint64) {
	facts := f.Facts[node]
	facts.Orders = map[netip.Addr]uint64{}
	for a, term := range orders {
		facts.Orders[netip.MustParseAddr(a)] = term
	}
	f.Facts[node] = facts
}
