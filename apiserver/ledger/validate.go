package ledger

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Most is how many claims one request may have.
const Most = 200

// Validate says what is wrong with a request by itself.
func Validate(spec *metallb.IPAllocationClaimSpec) field.ErrorList {
	var errs field.ErrorList
	root := field.NewPath("spec")
	if spec.Term < 0 {
		errs = append(errs, field.Invalid(root.Child("term"), spec.Term, "must not be negative"))
	}
	if len(spec.Services) > Most {
		errs = append(errs, field.TooMany(root.Child("services"), len(spec.Services), Most))
		return errs
	}
	for i := range spec.Services {
		errs = append(errs, validateService(root.Child("services").Index(i), &spec.Services[i])...)
	}
	addresses(root.Child("forget"), spec.Forget, &errs)
	return errs
}

func validateService(at *field.Path, c *metallb.ServiceClaim) (errs field.ErrorList) {
	if c.Namespace == "" {
		errs = append(errs, field.Required(at.Child("namespace"), ""))
	}
	if c.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	seen := map[netip.Addr]bool{}
	const perService = 8 // an address of each family, and what it has had
	for _, list := range []struct {
		name  string
		texts []string
	}{{"addresses", c.Addresses}, {"release", c.Release}} {
		if len(list.texts) > perService {
			errs = append(errs, field.TooMany(at.Child(list.name), len(list.texts), perService))
		}
		for i, a := range addresses(at.Child(list.name), list.texts, &errs) {
			if seen[a] {
				errs = append(errs, field.Duplicate(at.Child(list.name).Index(i), a.String()))
			}
			seen[a] = true
		}
	}
	return errs
}

// addresses reads a list; what cannot be read is left the zero Addr.
func addresses(at *field.Path, texts []string, errs *field.ErrorList) []netip.Addr {
	list := make([]netip.Addr, len(texts))
	for i, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			*errs = append(*errs, field.Invalid(at.Index(i), text, "must be an IP address"))
			continue
		}
		list[i] = a.Unmap()
	}
	return list
}

// Addresses are all that a valid claim is about.
func Addresses(c *metallb.ServiceClaim) []netip.Addr {
	var all []netip.Addr
	for _, list := range [][]string{c.Release, c.Addresses} {
		for _, text := range list {
			all = append(all, parse(text))
		}
	}
	return all
}
