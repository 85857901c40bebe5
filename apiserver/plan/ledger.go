package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/ledger"
)

// Ledger is who holds which address, according to the controller's claims. What a Service's status shows is announced
// if the ledger has it too.
type Ledger struct {
	// Confirmed is set once the controller has found, under the present leader, that nothing is missing from the ledger.
	// Until then it may have been lost, or be of an earlier time, and what it lacks is announced all the same: but not
	// what it has of another Service that shows the address too.
	Confirmed bool
	Holdings  map[netip.Addr]ledger.Holding
	// Lingering is what it had until a moment ago. As long as nobody else holds it, it counts as if it was there still.
	Lingering map[Shown]bool
}

// Shown is an address that a Service's status shows.
type Shown struct {
	Service types.NamespacedName
	Address netip.Addr
}

// Has says whether the ledger has what a Service shows.
func (l *Ledger) Has(s Shown) bool {
	return slices.Contains(l.Holdings[s.Address].Services, s.Service)
}

// ShownBy lists what the statuses of Services of ours show.
func ShownBy(services []*corev1.Service, class string) (all []Shown) {
	for _, s := range services {
		if !ours(s, class) {
			continue
		}
		name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			if a, err := netip.ParseAddr(ingress.IP); err == nil && a.Zone() == "" {
				all = append(all, Shown{name, a.Unmap()})
			}
		}
	}
	return all
}

// objection is why an address that a Service shows must not be announced for it; nothing where it may. Others are the
// Services that have addresses, sorted by name.
func (l *Ledger) objection(s Shown, others []*service) string {
	if l == nil || l.Has(s) {
		return ""
	}
	held, taken := l.Holdings[s.Address]
	switch {
	case l.Confirmed && taken:
		return fmt.Sprintf("%s is allocated to %s", s.Address, held.Services[0])
	case taken && !held.Shareable && slices.ContainsFunc(held.Services, func(name types.NamespacedName) bool { return shows(others, name, s.Address) }):
		return fmt.Sprintf("%s is allocated to %s, which shows it too", s.Address, held.Services[0])
	case l.Confirmed && !l.Lingering[s]:
		return fmt.Sprintf("%s is allocated to nobody: the controller did not give it to the Service", s.Address)
	}
	return ""
}

func shows(services []*service, name types.NamespacedName, a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(services, name, func(s *service, name types.NamespacedName) int {
		return cmp.Or(cmp.Compare(s.name.Namespace, name.Namespace), cmp.Compare(s.name.Name, name.Name))
	})
	return found && slices.ContainsFunc(services[i].Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool {
		shown, err := netip.ParseAddr(in.IP)
		return err == nil && shown.Unmap() == a
	})
}
