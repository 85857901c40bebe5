package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// aliases are the names that Communities define.
type aliases map[string]community.Value

var (
	errUnknownAlias = errors.New("neither a value nor the name of a known alias")
	errDefinedTwice = errors.New("it is defined elsewhere too")
)

// newAliases reads the definitions. The rules see to it that each is defined once and is a value; one that is not is
// said, and is not defined.
func newAliases(all []*metallb.Community, note func(Withheld)) aliases {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *metallb.Community) int { return cmp.Compare(a.Name, b.Name) })
	known := aliases{}
	for _, c := range all {
		for _, a := range c.Spec.Communities {
			value, err := community.ParseDefinition(a.Value)
			if _, twice := known[a.Name]; twice {
				err = errDefinedTwice
			}
			if err != nil {
				note(Withheld{
					Kind: KindCommunity, Name: types.NamespacedName{Namespace: c.Namespace, Name: c.Name},
					Protocol: BGP, Reason: ReasonInvalidConfiguration, Message: fmt.Sprintf("alias %q: %v", a.Name, err),
				})
				continue
			}
			known[a.Name] = value
		}
	}
	return known
}

// resolve reads what an advertisement has: a value, the name of an alias, or a well-known name that no alias has.
func (known aliases) resolve(s string) (community.Value, error) {
	if !community.IsAlias(s) {
		return community.Parse(s)
	}
	if value, ok := known[s]; ok {
		return value, nil
	}
	if value, ok := community.WellKnown(s); ok {
		return value, nil
	}
	return community.Value{}, errUnknownAlias
}
