package rules

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkCommunities applies A3, A4 and A5.
func checkCommunities(communities []string, path *field.Path) field.ErrorList {
	errs := unique(communities, "of community", path)
	for i, c := range communities {
		if err := parseCommunity(c); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), c, err.Error()))
		}
	}
	return errs
}

// isAlias tells the name of an alias from a community's value.
func isAlias(community string) bool { return !strings.Contains(community, ":") }

// parseCommunity accepts a community (RFC 1997), a large community (RFC 8092) and what can be the name of an alias.
func parseCommunity(c string) error {
	if c == "" {
		return fmt.Errorf("invalid community format: empty")
	}
	if isAlias(c) {
		return nil
	}
	switch parts := strings.Split(c, ":"); len(parts) {
	case 2:
		return parseSections(parts, 16)
	case 4:
		if parts[0] != "large" {
			return fmt.Errorf("invalid community value: invalid marker %q: expected community to be of format large:<uint32>:<uint32>:<uint32>", parts[0])
		}
		return parseSections(parts[1:], 32)
	}
	return fmt.Errorf("invalid community format: must be <uint16>:<uint16>, large:<uint32>:<uint32>:<uint32>, or the name of an alias")
}

func parseSections(sections []string, bits int) error {
	for _, s := range sections {
		if _, err := strconv.ParseUint(s, 10, bits); err != nil {
			return fmt.Errorf("invalid community value: invalid section %q: must be 0 to %d", s, uint64(1)<<bits-1)
		}
	}
	return nil
}
