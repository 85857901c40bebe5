package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Conflict is why two peers cannot have sessions on the same node.
type Conflict struct {
	// Field of the peer's spec.
	Field string
	// Value of that field, and that of the other.
	Value, Other any
	// Rule in words.
	Rule string
}

// Conflicts applies X5 to X7 to two peers that meet on a node. A node's sessions have one router ID, for the router
// is one to the world; those of a VRF share a BGP instance and so its AS number; and a neighbor is told from others
// by its address (or interface) and VRF, the port not counting.
func Conflicts(p, other *metallb.BGPPeer) []Conflict {
	a, b := &p.Spec, &other.Spec
	var found []Conflict
	if a.RouterID != b.RouterID {
		found = append(found, Conflict{"routerID", a.RouterID, b.RouterID, "peers that share a node must have the same routerID"})
	}
	if a.VRFName != b.VRFName {
		return found
	}
	switch {
	case a.Address != "" && sameAddress(a.Address, b.Address):
		found = append(found, Conflict{"peerAddress", a.Address, b.Address, "peers that share a node must differ in address or vrf"})
	case a.Interface != "" && a.Interface == b.Interface:
		found = append(found, Conflict{"interface", a.Interface, b.Interface, "peers that share a node must differ in interface or vrf"})
	}
	if a.MyASN != b.MyASN {
		found = append(found, Conflict{"myASN", a.MyASN, b.MyASN, "peers that share a node and a vrf must have the same myASN"})
	}
	return found
}

// sameAddress compares at little cost what is mostly different, or written alike.
func sameAddress(a, b string) bool {
	return a == b || (strings.Contains(a, ":") || strings.Contains(b, ":")) && CanonicalAddress(a) == CanonicalAddress(b)
}

// CanonicalAddress is the one way to write an address; what is none stays as it is.
func CanonicalAddress(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.Unmap().String()
}

// String shows the conflict from the other peer's side.
func (c Conflict) String() string { return fmt.Sprintf("%s %s: %s", c.Field, quoted(c.Other), c.Rule) }

func quoted(v any) string {
	if v == "" {
		return "unset"
	}
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// Elder orders peers for when Nodes change and bring conflicting ones together: the one that sorts first stays.
func Elder(a, b *metallb.BGPPeer) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// checkMeetings refuses a peer that could not have its sessions beside those of others.
func checkMeetings(ix *index, p *peer, old *metallb.BGPPeer, on *cluster, spec *field.Path) field.ErrorList {
	if old != nil && sameMeetings(&old.Spec, &p.Spec) {
		return nil // whoever it meets has come since
	}
	var errs field.ErrorList
	for _, other := range ix.peers {
		if other.Name == p.Name {
			continue
		}
		node, meet := share(p.nodes, other.nodes, on)
		if !meet {
			continue
		}
		for _, conflict := range Conflicts(p.BGPPeer, other.BGPPeer) {
			errs = append(errs, field.Invalid(spec.Child(conflict.Field), conflict.Value, fmt.Sprintf(
				"conflicts with BGPPeer %q, which has %s (%s)", other.Name, conflict, where(node))))
		}
		if len(errs) > maxErrors {
			break
		}
	}
	return errs
}

// sameMeetings says whether two versions of a peer meet the same others and clash with them alike.
func sameMeetings(a, b *metallb.BGPPeerSpec) bool {
	return a.RouterID == b.RouterID && a.VRFName == b.VRFName && a.Address == b.Address && a.Interface == b.Interface &&
		a.MyASN == b.MyASN && apiequality.Semantic.DeepEqual(a.NodeSelectors, b.NodeSelectors)
}
