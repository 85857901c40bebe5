package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Violations is everything that is wrong with a configuration, found by looking at every pair. What points at nothing
// is not wrong.
func Violations(c Configuration) []string {
	var found []string
	pools, ads, peers := c.of(Pools), c.of(Advertisements), c.of(Peers)
	for i, a := range pools {
		found = append(found, within(a, c[a])...)
		for _, b := range pools[i+1:] {
			found = append(found, overlaps(a, b, c[a], c[b])...)
		}
	}
	for i, a := range ads {
		for _, pool := range c[a].IPAddressPools {
			found = append(found, tooNarrow(a, c[a], pool, c[Key{Pools, pool}])...)
		}
		for _, b := range ads[i+1:] {
			found = append(found, contradict(a, b, c)...)
		}
	}
	for i, a := range peers {
		for _, b := range peers[i+1:] {
			found = append(found, clash(a, b, c[a], c[b])...)
		}
	}
	return found
}

// Refusal says why an object must not become spec (nil: be deleted) in a configuration; empty if it may.
func Refusal(c Configuration, key Key, spec *Spec) string {
	if spec == nil && key.Resource == Profiles {
		for _, peer := range c.of(Peers) {
			if c[peer].BFDProfile == key.Name {
				return fmt.Sprintf("%s is in use by %s", key, peer)
			}
		}
	}
	return strings.Join(Violations(c.with(key, spec)), "; ")
}

func (c Configuration) of(resource string) []Key {
	var keys []Key
	for key := range c {
		if key.Resource == resource {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

func within(key Key, pool Spec) []string {
	for i, a := range pool.Addresses {
		for _, b := range pool.Addresses[i+1:] {
			if netip.MustParsePrefix(a).Overlaps(netip.MustParsePrefix(b)) {
				return []string{fmt.Sprintf("%s: %s overlaps %s", key, a, b)}
			}
		}
	}
	return nil
}

func overlaps(x, y Key, one, other Spec) (found []string) {
	for _, a := range one.Addresses {
		for _, b := range other.Addresses {
			if netip.MustParsePrefix(a).Overlaps(netip.MustParsePrefix(b)) {
				found = append(found, fmt.Sprintf("%s of %s overlaps %s of %s", a, x, b, y))
			}
		}
	}
	return found
}

// tooNarrow: a route of an advertisement must not reach beyond a pool.
func tooNarrow(ad Key, spec Spec, name string, pool Spec) (found []string) {
	for _, a := range pool.Addresses {
		if spec.AggregationLength < netip.MustParsePrefix(a).Bits() {
			found = append(found, fmt.Sprintf("aggregation length %d of %s reaches beyond %s of pool %s", spec.AggregationLength, ad, a, name))
		}
	}
	return found
}

// contradict: the same routes to the same peers must have one local preference.
func contradict(x, y Key, c Configuration) []string {
	a, b := c[x], c[y]
	if a.LocalPref == b.LocalPref || a.AggregationLength != b.AggregationLength {
		return nil
	}
	for _, pool := range a.IPAddressPools {
		if _, exists := c[Key{Pools, pool}]; exists && slices.Contains(b.IPAddressPools, pool) {
			return []string{fmt.Sprintf("%s and %s advertise %s with localPref %d and %d", x, y, pool, a.LocalPref, b.LocalPref)}
		}
	}
	return nil
}

// clash: peers that share a node have one router ID and AS number, and are not the same router.
func clash(x, y Key, a, b Spec) (found []string) {
	if a.RouterID != b.RouterID {
		found = append(found, fmt.Sprintf("%s and %s have routerID %s and %s", x, y, a.RouterID, b.RouterID))
	}
	if a.MyASN != b.MyASN {
		found = append(found, fmt.Sprintf("%s and %s have myASN %d and %d", x, y, a.MyASN, b.MyASN))
	}
	if a.PeerAddress == b.PeerAddress {
		found = append(found, fmt.Sprintf("%s and %s are the same router %s", x, y, a.PeerAddress))
	}
	return found
}
