package ipam

import "net/netip"

// trial is what is known of the addresses that change hands in a Try: who had them last; nil where nothing was.
type trial map[netip.Addr]*Past

// Try lets decide work on what the Service holds, and then puts everything back as it was. In decide nothing may change
// but by Assign, Adopt, Keep, Allocate, AllocateFrom, Extend and Release of this one Service.
func (a *Allocator) Try(key string, decide func()) {
	var before *holding
	if h := a.holdings[key]; h != nil {
		copied := *h
		before = &copied
	}
	a.trial = trial{}
	decide()
	a.Release(key)
	touched := a.trial
	for addr := range touched {
		if m := a.memories[addr]; m != nil {
			a.forget(m)
		}
	}
	a.trial = nil
	if before != nil {
		a.hold(before.service, before.Assignment)
	}
	for addr, past := range touched {
		if past != nil && a.slots[addr] == nil {
			a.remember(*past)
		}
	}
}

// note keeps what is known of an address before it changes hands in a trial for the first time.
func (a *Allocator) note(addr netip.Addr) {
	if a.trial == nil {
		return
	}
	if _, noted := a.trial[addr]; noted {
		return
	}
	a.trial[addr] = nil
	if m := a.memories[addr]; m != nil {
		past := m.Past
		a.trial[addr] = &past
	}
}
