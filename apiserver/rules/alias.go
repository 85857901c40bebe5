package rules

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// checkAliases applies C1 and X4 to the aliases that a Community defines.
func checkAliases(c *metallb.Configuration, definer *metallb.Community, spec *field.Path) (errs field.ErrorList, warnings []string) {
	elsewhere := map[string]definition{}
	for _, other := range c.Communities {
		if other.Name == definer.Name {
			continue
		}
		for _, a := range other.Spec.Communities {
			elsewhere[a.Name] = definition{other.Name, a.Value}
		}
	}
	here := map[string]bool{}
	for i, a := range definer.Spec.Communities {
		at := spec.Child("communities").Index(i)
		first, taken := elsewhere[a.Name]
		switch {
		case a.Name == "":
			errs = append(errs, field.Required(at.Child("name"), "an alias without a name cannot be used"))
		case here[a.Name]:
			errs = append(errs, duplicate(at.Child("name"), a.Name, "of community"))
		case taken:
			err := duplicate(at.Child("name"), a.Name, "of community")
			err.Detail += fmt.Sprintf(": Community %q defines it as %s", first.community, first.value)
			errs = append(errs, err)
		case !community.IsAlias(a.Name):
			warnings = append(warnings, fmt.Sprintf("%s: %q contains \":\", so advertisements take it for a value and cannot use the alias", at.Child("name"), a.Name))
		}
		here[a.Name] = true
		if err := parseValue(a.Value); err != nil {
			errs = append(errs, field.Invalid(at.Child("value"), a.Value, fmt.Sprintf("parsing community %q: %v", a.Name, err)))
		}
	}
	return errs, warnings
}

// definition is what an alias of another Community is.
type definition struct{ community, value string }

// parseValue accepts values only: an alias of an alias is none.
func parseValue(value string) error {
	if community.IsAlias(value) {
		return errors.New("invalid community format: must be <uint16>:<uint16> or large:<uint32>:<uint32>:<uint32>")
	}
	_, err := community.Parse(value)
	return err
}

// aliases are the names that advertisements may use.
func aliases(c *metallb.Configuration) map[string]bool {
	known := map[string]bool{}
	for _, definer := range c.Communities {
		for _, a := range definer.Spec.Communities {
			known[a.Name] = true
		}
	}
	return known
}

// withdrawnAliases warns of aliases that were defined in old, are no more, and are in use.
func withdrawnAliases(c *metallb.Configuration, definer, old *metallb.Community) []string {
	if old == nil {
		return nil
	}
	stays := map[string]bool{}
	for _, a := range definer.Spec.Communities {
		stays[a.Name] = true
	}
	var warnings []string
	for _, a := range old.Spec.Communities {
		if stays[a.Name] {
			continue
		}
		for _, adv := range c.BGPAdvertisements {
			for _, used := range adv.Spec.Communities {
				if used == a.Name {
					warnings = append(warnings, fmt.Sprintf("no Community defines the alias %q any more, which BGPAdvertisement %q uses: it announces nothing", a.Name, adv.Name))
				}
			}
		}
	}
	return warnings
}
