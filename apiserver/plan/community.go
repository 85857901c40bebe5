package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// largeCommunity is a value of RFC 8092.
type largeCommunity struct{ global, local1, local2 uint32 }

// community is one of the two kinds; large says which.
type community struct {
	large    bool
	standard uint32 // RFC 1997
	wide     largeCommunity
}

var errUnknownAlias = errors.New("neither a value nor the name of a known alias")

// parseCommunity reads "u16:u16" or "large:u32:u32:u32". Anything without a colon is taken for the name of an alias;
// there are none yet.
func parseCommunity(s string) (community, error) {
	if !strings.Contains(s, ":") {
		return community{}, fmt.Errorf("community %q: %w", s, errUnknownAlias)
	}
	parts := strings.Split(s, ":")
	switch {
	case len(parts) == 2:
		high, errHigh := strconv.ParseUint(parts[0], 10, 16)
		low, errLow := strconv.ParseUint(parts[1], 10, 16)
		if errHigh != nil || errLow != nil {
			return community{}, fmt.Errorf("community %q: both parts must be numbers from 0 to 65535", s)
		}
		return community{standard: uint32(high)<<16 | uint32(low)}, nil
	case len(parts) == 4 && parts[0] == "large":
		var v [3]uint32
		for i, part := range parts[1:] {
			n, err := strconv.ParseUint(part, 10, 32)
			if err != nil {
				return community{}, fmt.Errorf("community %q: each part after \"large\" must be a number from 0 to 4294967295", s)
			}
			v[i] = uint32(n)
		}
		return community{large: true, wide: largeCommunity{v[0], v[1], v[2]}}, nil
	}
	return community{}, fmt.Errorf("community %q: not of the form \"u16:u16\" or \"large:u32:u32:u32\"", s)
}

// String writes what parseCommunity reads.
func (c community) String() string {
	if c.large {
		return fmt.Sprintf("large:%d:%d:%d", c.wide.global, c.wide.local1, c.wide.local2)
	}
	return fmt.Sprintf("%d:%d", c.standard>>16, c.standard&0xffff)
}
