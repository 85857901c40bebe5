package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// heldDown is a peer that has no session on a node because an older one is in its way there.
type heldDown struct {
	peer, elder int
	conflict    rules.Conflict
}

// keepApart takes sessions away where peers meet that the rules keep from meeting (X5 to X7). The rules go by the
// Nodes that were there when the peers were written; labels that changed since may have brought them together. The
// oldest peer keeps its session, and each next one that conflicts with none that is kept.
func (l *peerList) keepApart(all []*metallb.BGPPeer, nodes *nodeList, note func(Withheld)) {
	if alike(all) {
		return
	}
	byAge := make([]int, len(all))
	for i := range byAge {
		byAge[i] = i
	}
	slices.SortFunc(byAge, func(i, j int) int { return rules.Elder(all[i], all[j]) })
	known := map[string][]heldDown{} // nodes with the same peers are alike
	for n := range l.ofNode {
		key := string(l.ofNode[n].appendKey(nil))
		down, ok := known[key]
		if !ok {
			down = meet(all, byAge, l.ofNode[n])
			known[key] = down
		}
		if len(down) == 0 {
			continue
		}
		without := newBitset(len(all))
		for _, d := range down {
			without.add(d.peer)
			p := all[d.peer]
			note(Withheld{
				Kind: KindBGPPeer, Name: types.NamespacedName{Namespace: p.Namespace, Name: p.Name},
				Protocol: BGP, Node: nodes.name(n), Reason: ReasonConflictingPeers,
				Message: fmt.Sprintf("BGPPeer %q has no session on node %s, where the older BGPPeer %q has %s",
					p.Name, nodes.name(n), all[d.elder].Name, d.conflict),
			})
		}
		l.ofNode[n] = l.ofNode[n].minus(without)
	}
}

// meet decides among the peers of one node.
func meet(all []*metallb.BGPPeer, byAge []int, here bitset) (down []heldDown) {
	var kept []int
next:
	for _, i := range byAge {
		if !here.has(i) {
			continue
		}
		for _, elder := range kept {
			if conflicts := rules.Conflicts(all[i], all[elder]); len(conflicts) > 0 {
				down = append(down, heldDown{i, elder, conflicts[0]})
				continue next
			}
		}
		kept = append(kept, i)
	}
	return down
}

// alike finds at little cost what is mostly so: that the peers could all meet on one node.
func alike(all []*metallb.BGPPeer) bool {
	type neighbor struct{ vrf, address, device string }
	neighbors := make(map[neighbor]bool, len(all))
	asn := map[string]int64{}
	for _, p := range all {
		s := &p.Spec
		is := neighbor{s.VRFName, rules.CanonicalAddress(s.Address), s.Interface}
		mine, known := asn[s.VRFName]
		if s.RouterID != all[0].Spec.RouterID || neighbors[is] || known && mine != s.MyASN {
			return false
		}
		neighbors[is], asn[s.VRFName] = true, s.MyASN
	}
	return true
}
