package dispatch

import (
	"maps"
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// maxTerm bounds the terms that a speaker may claim, so that the next one is always higher.
const maxTerm = 1 << 62

// held picks what a speaker owns out of what it holds, what of that it does not answer for yet, and what it stands by for.
func held(items []*ingotv1.HeldItem) (owned map[netip.Addr]uint64, waits, stands map[netip.Addr]bool) {
	owned, waits, stands = map[netip.Addr]uint64{}, map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, item := range items {
		addr, ok := plan.Layer2Address(item.GetId())
		switch {
		case !ok:
		case item.GetRole() == ingotv1.Layer2Address_ROLE_OWNER:
			owned[addr] = min(item.GetTerm(), maxTerm)
			if item.GetStatus() == ingotv1.ItemResult_STATUS_PENDING {
				waits[addr] = true
			}
		case item.GetRole() == ingotv1.Layer2Address_ROLE_STANDBY && item.GetStatus() != ingotv1.ItemResult_STATUS_REJECTED:
			stands[addr] = true
		}
	}
	return owned, waits, stands
}

// settleHold keeps holds and stands up with what became of an item; it says whether they changed.
func (x *node) settleHold(o outcome) bool {
	addr, ok := plan.Layer2Address(o.id)
	if !ok {
		return false
	}
	if o.removed {
		_, holds := x.holds[addr]
		stands := x.stands[addr]
		delete(x.holds, addr)
		delete(x.waits, addr)
		delete(x.stands, addr)
		delete(x.vacant, addr)
		delete(x.taken, addr)
		return holds || stands
	}
	l2 := o.item.GetLayer2Address()
	if l2 == nil || o.status == ingotv1.ItemResult_STATUS_REJECTED {
		return false // what was there before stays
	}
	if x.taken[addr] <= l2.GetTerm() {
		delete(x.taken, addr)
	}
	term, holds := x.holds[addr]
	if l2.GetRole() != ingotv1.Layer2Address_ROLE_OWNER {
		stood := x.stands[addr]
		delete(x.holds, addr)
		delete(x.waits, addr)
		x.stands[addr] = true
		return holds || !stood
	}
	x.holds[addr] = l2.GetTerm()
	delete(x.waits, addr)
	delete(x.stands, addr)
	delete(x.vacant, addr)
	if o.status == ingotv1.ItemResult_STATUS_PENDING {
		x.waits[addr] = true
	}
	return !holds || term != l2.GetTerm()
}

// finds keeps vacant and taken up with what the node reports of its addresses; it says whether they changed.
func (x *node) finds(r *ingotv1.Report) (changed bool) {
	vacant, taken := x.vacant, x.taken
	x.vacant, x.taken = maps.Clone(vacant), maps.Clone(taken)
	if r.GetFull() {
		clear(x.vacant)
		clear(x.taken)
	}
	for _, v := range r.GetLayer2() {
		addr, err := netip.ParseAddr(v.GetAddress())
		if err != nil {
			continue
		}
		delete(x.vacant, addr)
		delete(x.taken, addr)
		if v.GetVacantSinceMs() != 0 && v.GetRole() == ingotv1.Layer2Address_ROLE_STANDBY {
			x.vacant[addr] = true
		}
		if v.GetTaken() && v.GetAnswering() {
			x.taken[addr] = min(v.GetTerm(), maxTerm)
		}
	}
	return !maps.Equal(vacant, x.vacant) || !maps.Equal(taken, x.taken)
}

// owns are the addresses that the node owns, because it was told to or by its own doing.
func (x *node) owns() map[netip.Addr]uint64 {
	all := maps.Clone(x.holds)
	for addr, term := range x.taken {
		all[addr] = max(all[addr], term)
	}
	return all
}
