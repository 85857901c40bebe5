package dispatch

import (
	"fmt"
	"slices"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// failed knows which items one node cannot do, to tell what is new: by id, why, as it was said last; empty where
// another process heard it, and said it.
type failed map[string]string

// restart begins anew with what a speaker says it holds. What it could not do before is no news.
func (f *failed) restart(held []*ingotv1.HeldItem) {
	before := *f
	*f = failed{}
	for _, h := range held {
		if h.GetStatus() != ingotv1.ItemResult_STATUS_APPLIED {
			(*f)[h.GetId()] = before[h.GetId()]
		}
	}
}

// settle takes why an item cannot be done, empty where it can or will be, and says whether that is news.
func (f failed) settle(id, why string) (news bool) {
	before, known := f[id]
	if why == "" {
		delete(f, id)
		return false
	}
	f[id] = why
	return !known || before != "" && before != why
}

// failure is an item that a node cannot do.
type failure struct {
	id   string
	item *ingotv1.Item // nil where its content is not known here
	why  string
}

// noInterface is why nobody answers for a layer-2 address on a node that has none of the address's interfaces.
const noInterface = "none of the interfaces that the L2Advertisements name exists on the node and is up"

// hindrance says why the node cannot do an item; it is empty where it has done it, or may yet.
func (x *node) hindrance(o outcome) string {
	l2 := o.item.GetLayer2Address()
	switch {
	case o.removed:
		return ""
	case o.status == ingotv1.ItemResult_STATUS_REJECTED:
		return o.reason
	case o.status == ingotv1.ItemResult_STATUS_PENDING && l2.GetRole() == ingotv1.Layer2Address_ROLE_OWNER && x.lacks(l2.GetInterfaces()):
		return noInterface
	}
	return ""
}

// lacks says whether there are named interfaces, and the node is known to have none of them up.
func (x *node) lacks(interfaces []string) bool {
	return len(interfaces) > 0 && len(x.links) > 0 &&
		!slices.ContainsFunc(interfaces, func(name string) bool { return x.links[name].GetUp() })
}

// message is what the event about one of the item's addresses says (spec.md section 9.1).
func (f failure) message(address, node string) string {
	protocol := plan.ProtocolOf(f.item)
	if f.why == noInterface {
		return fmt.Sprintf("the interfaces specified by LB IP %q doesn't exist in assigned node %q with protocol %q", address, node, protocol)
	}
	return fmt.Sprintf("cannot announce %q from node %q with protocol %q: %s", address, node, protocol, f.why)
}
