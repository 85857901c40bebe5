package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// checkCommunities applies A3, A4 and A5, and refuses more than a route can carry.
func checkCommunities(communities []string, path *field.Path) field.ErrorList {
	errs := unique(communities, "of community", path)
	size := 0
	for i, c := range communities {
		if community.IsAlias(c) {
			size += community.LargeBytes // which it may come to stand for
			continue
		}
		value, err := community.Parse(c)
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(path.Index(i), c, err.Error()))
		case value.IsLarge:
			size += community.LargeBytes
		default:
			size += community.StandardBytes
		}
	}
	if size > community.MaxBytes {
		errs = append(errs, field.Invalid(path, len(communities), fmt.Sprintf(
			"too many communities for one route: they take %d bytes of a BGP message, which has room for %d (a community takes %d, a large one or an alias %d)",
			size, community.MaxBytes, community.StandardBytes, community.LargeBytes)))
	}
	return errs
}
