package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// fewNames is how many nodes a sentence names where it is not about each of them.
const fewNames = 3

// list joins names for a sentence.
func list(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// some is list for the first few.
func some(names []string) string {
	if len(names) > fewNames {
		return strings.Join(names[:fewNames], ", ") + " and others"
	}
	return list(names)
}

// verb is the form of a verb that goes with so many subjects.
func verb(subjects int, one, many string) string {
	if subjects == 1 {
		return one
	}
	return many
}

// routes counts over which links nodes reach a network.
type routes struct {
	kinds []*route
}

type route struct {
	link    string
	network netip.Prefix
	nodes   []string
}

func (r *routes) add(node, link string, network netip.Prefix) {
	i := slices.IndexFunc(r.kinds, func(k *route) bool { return k.link == link && k.network == network })
	if i < 0 {
		i = len(r.kinds)
		r.kinds = append(r.kinds, &route{link: link, network: network})
	}
	r.kinds[i].nodes = append(r.kinds[i].nodes, node)
}

// best is the route of the most nodes.
func (r *routes) best() *route {
	if len(r.kinds) == 0 {
		return nil
	}
	return slices.MaxFunc(r.kinds, func(a, b *route) int {
		return cmp.Or(cmp.Compare(len(a.nodes), len(b.nodes)), cmp.Compare(b.link, a.link))
	})
}

// most is the name of its link.
func (r *routes) most() string {
	if k := r.best(); k != nil {
		return k.link
	}
	return ""
}

// String is what the nodes do, as a clause without an object: "node1 and node3 reach it over eth1 (192.0.2.0/24)".
func (r *routes) String() string {
	k := r.best()
	if k == nil {
		return ""
	}
	return some(k.nodes) + verb(len(k.nodes), " reaches", " reach") + " it over " + k.link + " (" + k.network.String() + ")"
}
