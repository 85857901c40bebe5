package rules

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// witnesses is an L2Advertisement with the hosts that it has asked.
type witnesses struct {
	*metallb.L2Advertisement
	addresses []netip.Addr
}

func indexWitnesses(a *metallb.L2Advertisement) *witnesses {
	return &witnesses{a, a.Spec.Probes()}
}

// checkRefresh applies L3.
func checkRefresh(written *metallb.Duration, path *field.Path) field.ErrorList {
	if written == nil {
		return nil
	}
	length, err := written.Parse()
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, string(*written), "invalid refresh interval: "+err.Error())}
	case length < metallb.MinRefreshInterval || length > metallb.MaxRefreshInterval:
		return field.ErrorList{field.Invalid(path, string(*written), "invalid refresh interval: must be 1s to 1h; announcing cannot be turned off")}
	}
	return nil
}

// checkProbeAddresses applies L4 and L5.
func checkProbeAddresses(addresses []string, path *field.Path) (errs field.ErrorList) {
	if n := len(addresses); n > metallb.MaxProbeAddresses {
		return field.ErrorList{field.TooMany(path, n, metallb.MaxProbeAddresses)}
	}
	first := map[netip.Addr]int{}
	for i, text := range addresses {
		a, err := netip.ParseAddr(text)
		why := ""
		switch {
		case err != nil:
			why = "must be an IPv4 or IPv6 address, without a prefix length"
		case a.Zone() != "":
			why = "must not have a zone: it is for many nodes"
		case a.IsLinkLocalUnicast():
			why = "is a link-local address: which host has it differs from link to link"
		case a.Unmap().IsLoopback():
			why = "is a loopback address: every node has it itself"
		default:
			why = unreachable(a)
		}
		if why != "" {
			errs = append(errs, field.Invalid(path.Index(i), text, "invalid probe address: "+why))
			continue
		}
		if j, again := first[a.Unmap()]; again {
			err := field.Duplicate(path.Index(i), text)
			err.Detail = fmt.Sprintf("duplicate definition of probeAddresses: the same as %s", path.Index(j))
			errs = append(errs, err)
			continue
		}
		first[a.Unmap()] = i
	}
	return errs
}

// checkProbesBesidePools applies X11 to an L2Advertisement whose witnesses can be read.
func checkProbesBesidePools(ix *index, ad *metallb.L2Advertisement, spec *field.Path) (errs field.ErrorList) {
	path := spec.Child("probeAddresses")
	for i, a := range ad.Spec.Probes() {
		if m := ix.ranges.at(a); m != nil {
			errs = append(errs, field.Invalid(path.Index(i), ad.Spec.ProbeAddresses[i], fmt.Sprintf(
				"is an address of %s (spec.addresses[%d]: %s): a witness is a host that is not ours, and Services may be given what a pool has",
				m.pool, m.index, m.pool.text(m))))
		}
	}
	return errs
}

// checkBesideProbes applies X11 to a pool. Each of its items is reported for the first witness that it has.
func checkBesideProbes(ix *index, p *pool, spec *field.Path) (errs field.ErrorList) {
	whose := map[*member]string{}
	var mine disjoint // made when there is a witness
	for _, w := range ix.witnesses {
		for i, a := range w.addresses {
			if mine.BTreeG == nil {
				mine = newDisjoint().replace(nil, p.members)
			}
			if m := mine.at(a); m != nil && whose[m] == "" {
				whose[m] = fmt.Sprintf("has %s, which is a witness (spec.probeAddresses[%d] of L2Advertisement %q): a witness is a host that is not ours", a, i, w.Name)
			}
		}
	}
	for _, m := range p.members {
		if why, ok := whose[m]; ok && len(errs) <= maxErrors {
			errs = append(errs, field.Invalid(spec.Child("addresses").Index(m.index), p.text(m), why))
		}
	}
	return errs
}

// probeWarnings says which witnesses are Nodes: those come and go without asking the configuration.
func probeWarnings(ad *metallb.L2Advertisement, nodes []Node, spec *field.Path) (warnings []string) {
	if len(ad.Spec.ProbeAddresses) == 0 {
		return nil
	}
	of := map[netip.Addr]string{}
	for _, n := range nodes {
		for _, a := range n.Addresses {
			of[a.Unmap()] = n.Name
		}
	}
	for i, a := range ad.Spec.Probes() {
		if node, ok := of[a]; ok {
			warnings = append(warnings, fmt.Sprintf("%s: %q is an address of Node %s: nodes ask each other anyway, a witness is a host that is no node",
				spec.Child("probeAddresses").Index(i), ad.Spec.ProbeAddresses[i], node))
		}
	}
	return warnings
}
