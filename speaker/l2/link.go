package l2

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/speaker/links"
)

// allowed returns the names of the links to answer on for an address that is for the named interfaces, all if none is.
func allowed(interfaces []string, all []links.Link) []string {
	var names []string
	for _, l := range all {
		if l.Unfit == "" && (len(interfaces) == 0 || slices.Contains(interfaces, l.Name)) {
			names = append(names, l.Name)
		}
	}
	return names
}

// whyNone says in words why there is no link to answer on for an address.
func whyNone(address netip.Addr, interfaces []string, all []links.Link) string {
	if len(interfaces) == 0 {
		return "no interface of this node qualifies for layer 2"
	}
	reasons := make([]string, 0, len(interfaces))
	for _, name := range interfaces {
		why := "does not exist on this node, or is excluded"
		for _, l := range all {
			if l.Name == name {
				why = cmp.Or(l.Unfit, "cannot be listened on")
				if l.Unfit == "" && address.Is6() && !l.LinkLocal.IsValid() {
					why = "has no link-local IPv6 address"
				}
			}
		}
		reasons = append(reasons, fmt.Sprintf("interface %s %s", name, why))
	}
	return strings.Join(reasons, "; ")
}

// working returns the names of the links that are up.
func working(all []links.Link) (names []string) {
	for _, l := range all {
		if l.Up {
			names = append(names, l.Name)
		}
	}
	return names
}
