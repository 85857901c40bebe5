package community

import "strings"

// wellKnown are the names of IANA's registry "BGP Well-known Communities", as routers spell them.
var wellKnown = map[string]uint32{
	"graceful-shutdown":          0xffff0000, // RFC 8326
	"accept-own":                 0xffff0001, // RFC 7611
	"route-filter-translated-v4": 0xffff0002,
	"route-filter-v4":            0xffff0003,
	"route-filter-translated-v6": 0xffff0004,
	"route-filter-v6":            0xffff0005,
	"llgr-stale":                 0xffff0006, // RFC 9494
	"no-llgr":                    0xffff0007, // RFC 9494
	"accept-own-nexthop":         0xffff0008,
	"standby-pe":                 0xffff0009, // RFC 9026
	"blackhole":                  0xffff029a, // RFC 7999
	"no-export":                  0xffffff01, // RFC 1997
	"no-advertise":               0xffffff02, // RFC 1997
	"no-export-subconfed":        0xffffff03, // RFC 1997
	"local-as":                   0xffffff03, // what routers call it
	"no-peer":                    0xffffff04, // RFC 3765
	"nopeer":                     0xffffff04, // as IANA spells it
}

// WellKnown reads a well-known name. Case, and whether words are joined by hyphens or underscores, do not matter, so
// that NO_EXPORT is no-export. An alias that a user defines goes before a name of here.
func WellKnown(name string) (Value, bool) {
	v, ok := wellKnown[strings.ReplaceAll(strings.ToLower(name), "_", "-")]
	return Value{Standard: v}, ok
}

// ParseDefinition reads what an alias may stand for: a value, or a well-known name. An alias of an alias is none.
func ParseDefinition(s string) (Value, error) {
	if v, ok := WellKnown(s); ok {
		return v, nil
	}
	return Parse(s)
}
