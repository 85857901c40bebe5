package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// DeletionProtection is the annotation that, when "true", keeps an object from being deleted.
const DeletionProtection = "ingot.io/deletion-protection"

// mostUsers is how many users a warning names.
const mostUsers = 10

// checkDeletion refuses to delete what is protected, and warns about what is in use: it may be deleted, and what
// refers to it becomes a reference to nothing.
func checkDeletion(ix *index, ch Change) (errs field.ErrorList, warnings []string) {
	old, ok := ch.Old.(metav1.Object)
	if !ok {
		return nil, nil
	}
	if p, ok := ch.Old.(*metallb.BFDProfile); ok {
		if errs := checkUnused(ix, p); len(errs) > 0 {
			return errs, nil
		}
	}
	if ch.New == nil && old.GetDeletionTimestamp() != nil {
		return nil, nil // decided when its deletion began
	}
	if old.GetAnnotations()[DeletionProtection] == "true" && !ch.Terminating {
		return field.ErrorList{field.Forbidden(field.NewPath("metadata", "annotations").Key(DeletionProtection),
			`is "true": remove the annotation first if the object shall be deleted`)}, nil
	}
	if definer, ok := ch.Old.(*metallb.Community); ok {
		return nil, withdrawnAliases(ix, &metallb.Community{}, definer)
	}
	kind, users := usersOf(ix, ch)
	if len(users) == 0 {
		return nil, nil
	}
	more := ""
	if n := len(users) - mostUsers; n > 0 {
		users, more = users[:mostUsers], fmt.Sprintf(" and %d more", n)
	}
	return nil, []string{fmt.Sprintf("%s %q is in use by %s%s", kind, old.GetName(), strings.Join(users, ", "), more)}
}

// usersOf names what needs the deleted object.
func usersOf(ix *index, ch Change) (kind string, users []string) {
	switch old := ch.Old.(type) {
	case *metallb.IPAddressPool:
		return "IPAddressPool", slices.Concat(advertisementsOfPool(ix.config, old.Name), servicesOfPools(ch.Holders, indexPool(old)))
	case *metallb.AddressPool:
		return "AddressPool", servicesOfPools(ch.Holders, indexAddressPool(old))
	case *metallb.BGPPeer:
		for _, ad := range ix.config.BGPAdvertisements {
			if slices.Contains(ad.Spec.Peers, old.Name) {
				users = append(users, fmt.Sprintf("BGPAdvertisement %q", ad.Name))
			}
		}
		return "BGPPeer", users
	case *metallb.BGPAdvertisement:
		of, others := selectionsOf(ix, ch.Old)
		return "BGPAdvertisement", servicesOfPools(ch.Holders, onlyBy(ix, of, others)...)
	case *metallb.L2Advertisement:
		of, others := selectionsOf(ix, ch.Old)
		return "L2Advertisement", servicesOfPools(ch.Holders, onlyBy(ix, of, others)...)
	}
	return "", nil
}

// advertisementsOfPool lists those that name the pool.
func advertisementsOfPool(c *metallb.Configuration, pool string) (users []string) {
	for _, ad := range c.BGPAdvertisements {
		if slices.Contains(ad.Spec.IPAddressPools, pool) {
			users = append(users, fmt.Sprintf("BGPAdvertisement %q", ad.Name))
		}
	}
	for _, ad := range c.L2Advertisements {
		if slices.Contains(ad.Spec.IPAddressPools, pool) {
			users = append(users, fmt.Sprintf("L2Advertisement %q", ad.Name))
		}
	}
	return users
}

// servicesOfPools lists the Services that hold addresses of the pools.
func servicesOfPools(holders []Holder, pools ...*pool) (users []string) {
	if len(holders) == 0 || len(pools) == 0 {
		return nil
	}
	ranges := newDisjoint().replace(nil, membersOf(pools))
	for _, h := range holders {
		for _, a := range h.Addresses {
			if ranges.at(a.Unmap()) != nil {
				users = append(users, fmt.Sprintf("Service %s (%s)", h.Name, a))
			}
		}
	}
	slices.Sort(users)
	return users
}

// selectionsOf returns the pools of one advertisement, and those of all others of either kind.
func selectionsOf(ix *index, one runtime.Object) (of *poolSelection, others []*poolSelection) {
	add := func(ad runtime.Object, name string, spec *poolSelection) {
		same := reflect.TypeOf(ad) == reflect.TypeOf(one) && name == one.(metav1.Object).GetName()
		if same {
			of = spec
		} else {
			others = append(others, spec)
		}
	}
	for _, ad := range ix.advertisements {
		add(ad.BGPAdvertisement, ad.Name, &ad.poolSelection)
	}
	for _, ad := range ix.config.L2Advertisements {
		s := newPoolSelection(ad.Spec.IPAddressPools, ad.Spec.IPAddressPoolSelectors)
		add(ad, ad.Name, &s)
	}
	return of, others
}

// onlyBy lists the pools that one advertisement selects and no other does: it alone announces their Services.
func onlyBy(ix *index, of *poolSelection, others []*poolSelection) (pools []*pool) {
	for p := range ix.pools.selected(of) {
		if !slices.ContainsFunc(others, func(o *poolSelection) bool { return o.selects(p.IPAddressPool) }) {
			pools = append(pools, p)
		}
	}
	return pools
}
