package store

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// law is what the configuration says of claims. It is read when it is asked for. Selectors of pools and quotas are not of
// it: they depend on the labels of Services and on all of the ledger, and are for the controller alone.
type law struct {
	config   *metallb.Configuration
	pools    map[string][]addrrange.Range
	reserved []reserved
	read     bool
}

// reserved is one range of a reservation.
type reserved struct {
	addrrange.Range
	by *metallb.IPReservation
}

func newLaw(config *metallb.Configuration) *law {
	return &law{config: config, pools: map[string][]addrrange.Range{}}
}

// judge implements ledger.Judge.
func (l *law) judge(c *metallb.ServiceClaim, a netip.Addr) (metallb.ClaimResult, string) {
	if !l.has(c.Pool, a) {
		return metallb.ClaimNotInPool, fmt.Sprintf("%s is not in pool %q", a, c.Pool)
	}
	r := l.reservation(a)
	if r == nil || r.Spec.Namespace == c.Namespace && (r.Spec.Service == "" || r.Spec.Service == c.Name) {
		return metallb.ClaimGranted, ""
	}
	return metallb.ClaimReserved, fmt.Sprintf("%s is reserved for others by IPReservation %q", a, r.Name)
}

func (l *law) has(pool string, a netip.Addr) bool {
	ranges, known := l.pools[pool]
	if !known {
		for _, text := range l.addresses(pool) {
			if r, err := addrrange.Parse(text); err == nil { // others are no addresses, to nobody
				ranges = append(ranges, r)
			}
		}
		l.pools[pool] = ranges
	}
	return slices.ContainsFunc(ranges, func(r addrrange.Range) bool { return r.Contains(a) })
}

func (l *law) addresses(pool string) []string {
	for _, o := range l.config.IPAddressPools {
		if o.Name == pool {
			return o.Spec.Addresses
		}
	}
	for _, o := range l.config.AddressPools {
		if o.Name == pool {
			return o.Spec.Addresses
		}
	}
	return nil
}

// reservation finds the one that has a; the rules see to it that there are not two. It is nil where there is none.
func (l *law) reservation(a netip.Addr) *metallb.IPReservation {
	if !l.read {
		l.read = true
		for _, o := range l.config.IPReservations {
			for _, text := range o.Spec.Addresses {
				if r, err := addrrange.ParseAny(text); err == nil {
					l.reserved = append(l.reserved, reserved{r, o})
				}
			}
		}
		slices.SortFunc(l.reserved, func(x, y reserved) int { return x.First().Compare(y.First()) })
	}
	i, found := slices.BinarySearchFunc(l.reserved, a, func(r reserved, a netip.Addr) int { return r.First().Compare(a) })
	if !found {
		i-- // the last one that begins before it
	}
	if i < 0 || !l.reserved[i].Contains(a) {
		return nil
	}
	return l.reserved[i].by
}
