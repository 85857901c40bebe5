package dispatch

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/dispatch/conflicts"
)

// foreign are the hosts that are none of ours and use layer-2 addresses.
func (v *layer2View) foreign() map[netip.Addr]conflicts.Conflict {
	found := map[netip.Addr]conflicts.Conflict{}
	if v == nil || v.verdicts == nil {
		return found
	}
	for a := range v.out.Decisions {
		if rival, node := v.verdicts.Foreign(a); rival != nil {
			found[a] = conflicts.Conflict{Address: a, MAC: rival.GetMac(), Node: node, Interface: rival.GetInterface()}
		}
	}
	return found
}

// conflicts are those by the Services that have the addresses.
func (v *layer2View) conflicts() map[types.NamespacedName][]conflicts.Conflict {
	by := map[types.NamespacedName][]conflicts.Conflict{}
	for a, c := range v.foreign() {
		for _, name := range v.out.ServicesOf(a) {
			by[name] = append(by[name], c)
		}
	}
	return by
}
