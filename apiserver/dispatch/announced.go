package dispatch

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// announcement is a Service announced by a node with a protocol.
type announcement struct {
	service  types.NamespacedName
	protocol plan.Protocol
}

// announced knows what one node announces, to tell what is new. Items that the speaker held when it connected are
// known without their content: what they announce is no news either.
type announced struct {
	known  map[string]bool // ids held applied at the last hello, of which no content was seen yet
	byItem map[string][]announcement
	items  map[announcement]int // how many items announce it
}

// restart begins anew with what a speaker says it holds.
func (a *announced) restart(held []*ingotv1.HeldItem) {
	*a = announced{known: map[string]bool{}, byItem: map[string][]announcement{}, items: map[announcement]int{}}
	for _, h := range held {
		if h.GetStatus() == ingotv1.ItemResult_STATUS_APPLIED {
			a.known[h.GetId()] = true
		}
	}
}

// begins says that what an item announces is news, when its content is seen next.
func (a *announced) begins(id string) { delete(a.known, id) }

// settle takes what became of an item, and returns the announcements that begin with it.
func (a *announced) settle(o outcome) []announcement {
	if o.removed {
		a.forget(o.id)
		return nil
	}
	if o.status != ingotv1.ItemResult_STATUS_APPLIED {
		return nil
	}
	if o.item == nil { // another replica ordered it, and said so
		a.known[o.id] = a.known[o.id] || a.byItem[o.id] == nil
		return nil
	}
	silent := a.known[o.id]
	before := a.byItem[o.id]
	now := announces(o.item)
	var begun []announcement
	for _, x := range now {
		if a.items[x] == 0 && !silent {
			begun = append(begun, x)
		}
		a.items[x]++
	}
	for _, x := range before {
		a.drop(x)
	}
	a.byItem[o.id] = now
	delete(a.known, o.id)
	return begun
}

func (a *announced) forget(id string) {
	for _, x := range a.byItem[id] {
		a.drop(x)
	}
	delete(a.byItem, id)
	delete(a.known, id)
}

func (a *announced) drop(x announcement) {
	if a.items[x]--; a.items[x] <= 0 {
		delete(a.items, x)
	}
}

// announces lists what a node announces that has an item: a standby announces nothing.
func announces(item *ingotv1.Item) []announcement {
	if l2 := item.GetLayer2Address(); l2 != nil && l2.GetRole() != ingotv1.Layer2Address_ROLE_OWNER {
		return nil
	}
	protocol := plan.ProtocolOf(item)
	seen := map[announcement]bool{}
	var all []announcement
	for _, ref := range plan.ServiceRefs(item) {
		x := announcement{types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}, protocol}
		if !seen[x] {
			seen[x] = true
			all = append(all, x)
		}
	}
	return all
}
