package rules

import (
	"errors"
	"fmt"
	"sort"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// checkAliases applies C1 and X4 to the aliases that a Community defines.
func checkAliases(ix *index, definer *metallb.Community, spec *field.Path) (errs field.ErrorList, warnings []string) {
	here := map[string]bool{}
	for i, a := range definer.Spec.Communities {
		if len(errs) > maxErrors {
			break
		}
		at := spec.Child("communities").Index(i)
		other := ix.definedBeside(a.Name, definer.Name)
		switch {
		case a.Name == "":
			errs = append(errs, field.Required(at.Child("name"), "an alias without a name cannot be used"))
		case here[a.Name]:
			errs = append(errs, duplicate(at.Child("name"), a.Name, "of community"))
		case other != nil:
			err := duplicate(at.Child("name"), a.Name, "of community")
			err.Detail += fmt.Sprintf(": Community %q defines it as %s", other.community, other.value)
			errs = append(errs, err)
		case !community.IsAlias(a.Name):
			warnings = append(warnings, fmt.Sprintf("%s: %q contains \":\", so advertisements take it for a value and cannot use the alias", at.Child("name"), a.Name))
		default:
			warnings = append(warnings, hides(a, at)...)
		}
		here[a.Name] = true
		if err := parseValue(a.Value); err != nil {
			errs = append(errs, field.Invalid(at.Child("value"), a.Value, fmt.Sprintf("parsing community %q: %v", a.Name, err)))
		}
	}
	return errs, warnings
}

// hides warns of an alias that has a well-known name and stands for something else.
func hides(a metallb.CommunityAlias, at *field.Path) []string {
	known, ok := community.WellKnown(a.Name)
	if !ok {
		return nil
	}
	if value, err := community.ParseDefinition(a.Value); err != nil || value == known {
		return nil
	}
	return []string{fmt.Sprintf("%s: %q is the well-known name of %s; where advertisements have it, they now mean %s", at.Child("name"), a.Name, known, a.Value)}
}

// parseValue accepts values and well-known names only: an alias of an alias is none.
func parseValue(value string) error {
	_, err := community.ParseDefinition(value)
	if err != nil && community.IsAlias(value) {
		return errors.New("invalid community format: must be <uint16>:<uint16>, large:<uint32>:<uint32>:<uint32>, or a well-known name")
	}
	return err
}

// definitions are those of an alias; there is one at most in a valid configuration.
func (ix *index) definitions(name string) []*alias {
	from := sort.Search(len(ix.aliases), func(i int) bool { return ix.aliases[i].name >= name })
	to := from
	for to < len(ix.aliases) && ix.aliases[to].name == name {
		to++
	}
	return ix.aliases[from:to]
}

// definedBeside finds the definition of an alias by a Community of another name.
func (ix *index) definedBeside(name, community string) *alias {
	for _, a := range ix.definitions(name) {
		if a.community != community {
			return a
		}
	}
	return nil
}

// withdrawnAliases warns of aliases that were defined in old, are no more, and are in use.
func withdrawnAliases(ix *index, definer, old *metallb.Community) []string {
	if old == nil {
		return nil
	}
	gone := map[string]bool{}
	for _, a := range old.Spec.Communities {
		gone[a.Name] = true
	}
	for _, a := range definer.Spec.Communities {
		delete(gone, a.Name)
	}
	if len(gone) == 0 {
		return nil
	}
	var warnings []string
	warn := func(communities []string, user string) {
		for _, used := range communities {
			if !gone[used] || len(warnings) > maxWarnings {
				continue
			}
			then := "it announces nothing"
			if known, ok := community.WellKnown(used); ok {
				then = fmt.Sprintf("there it is the well-known name of %s", known)
			}
			warnings = append(warnings, fmt.Sprintf("no Community defines the alias %q any more, which %s uses: %s", used, user, then))
		}
	}
	for _, adv := range ix.advertisements {
		warn(adv.Spec.Communities, fmt.Sprintf("BGPAdvertisement %q", adv.Name))
	}
	for _, p := range ix.legacy {
		for i, adv := range p.implied {
			warn(adv.Spec.Communities, fmt.Sprintf("spec.bgpAdvertisements[%d] of %s", i, p))
		}
	}
	return warnings
}
