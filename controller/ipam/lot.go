package ipam

import (
	"github.com/google/btree"
)

// owner is whom a reservation holds addresses for. Where nobody is set, namespace and service are empty.
type owner struct {
	namespace, service string
	nobody             bool
}

// everybody is the owner of addresses that are not reserved.
var everybody owner

// owners are those of whose addresses s may have, the ones to prefer first.
func owners(s Service) [3]owner {
	return [3]owner{{namespace: s.Namespace, service: s.name()}, {namespace: s.Namespace}, everybody}
}

// admits reports whether s may have addresses of the owner.
func (o owner) admits(s Service) bool {
	return o == everybody || !o.nobody && o.namespace == s.Namespace && (o.service == "" || o.service == s.name())
}

// lot is the addresses of a block that are for the same owner and that nobody holds. Whoever may have one of them may
// have all, so that the lowest of the set is the answer, however many others are in use, at rest or reserved.
type lot struct {
	free runs
	// resting are the memories of addresses that nobody may have yet but who had them last, by when they may.
	resting *btree.BTreeG[*memory]
}

func newLot() *lot { return &lot{free: newRuns(), resting: newQueue(earlierUntil)} }
