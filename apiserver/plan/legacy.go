package plan

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
)

// legacyPool is an AddressPool, and what it stands for.
type legacyPool struct {
	*pool
	legacy.Expansion
}

// compileLegacy works out the advertisements that AddressPools bring along and hangs each on its own pool.
func compileLegacy(pools *poolIndex, known aliases, nodes *nodeList, peers *peerList, sets *nodeSets, note func(Withheld)) {
	for _, p := range pools.legacy {
		withhold := func(protocol Protocol, reason Reason, message string) {
			note(Withheld{
				Kind: KindAddressPool, Name: types.NamespacedName{Namespace: p.Pool.Namespace, Name: p.Pool.Name},
				Protocol: protocol, Reason: reason, Message: message,
			})
		}
		for i, a := range p.BGPAdvertisements {
			ad, _, err := compileBGPAdvertisement(a, nodes, peers)
			at := fmt.Sprintf("spec.bgpAdvertisements[%d]", i)
			if err != nil {
				withhold(BGP, ReasonInvalidConfiguration, fmt.Sprintf("%s: %v", at, err))
				continue
			}
			if unknown := ad.read(a.Spec.Communities, known); len(unknown) > 0 {
				withhold(BGP, ReasonInvalidCommunity, fmt.Sprintf("%s: its routes are not sent: %s", at, strings.Join(unknown, "; ")))
			}
			ad.name = fmt.Sprintf("%s of AddressPool %s", at, p.name)
			ad.kind, ad.object = KindAddressPool, types.NamespacedName{Namespace: p.Pool.Namespace, Name: p.Pool.Name}
			ad.usable = sets.intern(ad.nodes.and(nodes.usable))
			p.bgp = append(p.bgp, ad)
		}
		for _, a := range p.L2Advertisements {
			ad, _, err := compileL2Advertisement(a, nodes)
			if err != nil {
				withhold(Layer2, ReasonInvalidConfiguration, err.Error())
				continue
			}
			p.layer2 = append(p.layer2, ad)
		}
	}
}
