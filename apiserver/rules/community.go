package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
)

// checkCommunities applies A3, A4 and A5.
func checkCommunities(communities []string, path *field.Path) field.ErrorList {
	errs := unique(communities, "of community", path)
	for i, c := range communities {
		if community.IsAlias(c) {
			continue
		}
		if _, err := community.Parse(c); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), c, err.Error()))
		}
	}
	return errs
}
