package rules

import (
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
)

// indexAddressPool is indexPool for the pool that an AddressPool stands for, with its own advertisements.
func indexAddressPool(p *metallb.AddressPool) *pool {
	e := legacy.Expand(p)
	made := indexPool(e.Pool)
	made.kind = addressPoolKind
	for _, ad := range e.BGPAdvertisements {
		made.implied = append(made.implied, indexAdvertisement(ad))
	}
	return made
}

// checkAddressPool applies to an AddressPool what applies to the objects that it stands for. Its advertisements are
// judged beside itself only: they select no other pool, and nobody else's select it.
func checkAddressPool(ix *index, obj, old *metallb.AddressPool, on *cluster, spec *field.Path) field.ErrorList {
	p := indexAddressPool(obj)
	errs := checkUniqueName(ix, p, old == nil)
	if old != nil && apiequality.Semantic.DeepEqual(old.Spec, obj.Spec) {
		return errs
	}
	errs = append(errs, checkProtocol(obj, spec)...)
	errs = append(errs, checkAddresses(ix, p, spec.Child("addresses"))...)
	list := spec.Child("bgpAdvertisements")
	first := map[string]int{} // by what they say
	for i, ad := range p.implied {
		if len(errs) > maxErrors {
			break
		}
		errs = append(errs, checkBGPAdvertisement(ad.BGPAdvertisement, list.Index(i))...)
		says := fmt.Sprintf("%d %d %d %q", ad.length4, ad.length6, ad.Spec.LocalPref, ad.Spec.Communities)
		if j, again := first[says]; again {
			err := field.Duplicate(list.Index(i), field.OmitValueType{})
			err.Detail = fmt.Sprintf("duplicate definition of bgpAdvertisements: the same as %s", list.Index(j))
			errs = append(errs, err)
		} else {
			first[says] = i
		}
	}
	if len(errs) == 0 {
		errs = checkImplied(p, list)
		errs = append(errs, checkEchoOfAddressPool(ix, p, old, on, spec)...)
		errs = append(errs, checkBesideProbes(ix, p, spec)...)
	}
	return errs
}

// checkProtocol sees to it that the advertisements, if there are any, are of the protocol.
func checkProtocol(p *metallb.AddressPool, spec *field.Path) field.ErrorList {
	switch p.Spec.Protocol {
	case metallb.BGPProtocol:
		return nil
	case metallb.Layer2Protocol:
		if len(p.Spec.BGPAdvertisements) == 0 {
			return nil
		}
		return field.ErrorList{field.Forbidden(spec.Child("bgpAdvertisements"),
			`needs protocol "bgp": cannot have bgp-advertisements configuration element in a layer2 address pool`)}
	case "":
		return field.ErrorList{field.Required(spec.Child("protocol"), `address pool is missing the protocol field: must be "layer2" or "bgp"`)}
	}
	return field.ErrorList{field.NotSupported(spec.Child("protocol"), p.Spec.Protocol,
		[]metallb.AddressPoolProtocol{metallb.Layer2Protocol, metallb.BGPProtocol})}
}

// checkImplied applies X2 and X3 to the advertisements that an AddressPool brings along. All of them are for all nodes and
// all peers.
func checkImplied(p *pool, list *field.Path) (errs field.ErrorList) {
	type routes struct {
		family
		length int
	}
	first := map[routes]int{}
	for i, ad := range p.implied {
		if len(errs) > maxErrors {
			break
		}
		contradicts := -1
		for _, f := range []family{ipv4, ipv6} {
			if m := f.tooNarrow(ad, p); m != nil {
				errs = append(errs, field.Invalid(list.Index(i).Child(f.field), ad.length(f), fmt.Sprintf("%s (spec.addresses[%d])",
					tooNarrowFor(ad.length(f), m), m.index)))
			}
			if p.narrowest(f) < 0 {
				continue // it makes no routes of this family
			}
			made := routes{f, ad.length(f)}
			if j, same := first[made]; !same {
				first[made] = i
			} else if p.implied[j].Spec.Preference() != ad.Spec.Preference() {
				contradicts = j
			}
		}
		if contradicts >= 0 {
			errs = append(errs, preferenceError(list.Index(i), ad.Spec.Preference(), p.implied[contradicts].Spec.Preference(),
				fmt.Sprintf("of %s: both advertise the addresses with the same aggregation length", list.Index(contradicts))))
		}
	}
	return errs
}

// checkUniqueName keeps names of pools unique over both kinds: Services ask for pools by name alone.
func checkUniqueName(ix *index, p *pool, isNew bool) field.ErrorList {
	if !isNew {
		return nil
	}
	var others finder[*pool] = ix.legacy
	if p.kind == addressPoolKind {
		others = ix.pools
	}
	other, taken := others.find(p.Name)
	if !taken {
		return nil
	}
	err := field.Duplicate(field.NewPath("metadata", "name"), p.Name)
	err.Detail = fmt.Sprintf("%s has this name: names of pools are unique over both kinds", other)
	return field.ErrorList{err}
}
