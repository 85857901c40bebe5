package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// maxNamed is how many objects a warning names.
const maxNamed = 5

// prependWarnings says where asPathPrepend has no effect: the AS path of what stays within an AS is empty (RFC 4271
// section 5.1.2).
func prependWarnings(ix *index, adv *metallb.BGPAdvertisement, spec *field.Path) []string {
	if adv.Spec.ASPathPrepend == 0 {
		return nil
	}
	var internal []string
	for _, p := range ix.peers {
		if isInternal(&p.Spec) && (len(adv.Spec.Peers) == 0 || slices.Contains(adv.Spec.Peers, p.Name)) {
			internal = append(internal, fmt.Sprintf("%q", p.Name))
		}
	}
	if len(internal) == 0 {
		return nil
	}
	if more := len(internal) - maxNamed; more > 0 {
		internal = append(internal[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return []string{fmt.Sprintf("%s: has no effect for peers within our own AS: BGPPeer %s", spec.Child("asPathPrepend"), strings.Join(internal, ", "))}
}

// isInternal says whether the session with a peer stays within an AS.
func isInternal(p *metallb.BGPPeerSpec) bool {
	if p.DynamicASN != "" {
		return p.DynamicASN == metallb.InternalASN
	}
	own := p.MyASN
	if p.LocalASN != 0 {
		own = p.LocalASN
	}
	return p.ASN == own
}
