package plan

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Stranded reports whether a Service of ours has an address that a pool of one configuration contains and none of a
// later one: it would be withdrawn though the controller may be about to move the Service, or a pool about to take
// the address up again.
func Stranded(before, after *metallb.Configuration, services []*corev1.Service, class string) bool {
	silent := func(Withheld) {} // what does not parse is said when it is planned
	had, has := newPoolIndex(before, silent), newPoolIndex(after, silent)
	for _, s := range services {
		if !ours(s, class) {
			continue
		}
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(ingress.IP)
			if err != nil {
				continue
			}
			if a = a.Unmap(); had.find(a) != nil && has.find(a) == nil {
				return true
			}
		}
	}
	return false
}
