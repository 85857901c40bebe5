package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/google/btree"
)

// Bounds of what is remembered of addresses that are free and at rest no longer.
const (
	// Stickiness is how long a Service that is created again under its name gets its address back.
	Stickiness = 24 * time.Hour
	// MostRemembered is of how many addresses that is known, the oldest forgotten first.
	MostRemembered = 4096
)

// Past says who held an address last, of those that nobody holds.
type Past struct {
	Addr netip.Addr
	// Key is the Service, as namespace/name.
	Key string
	// Released is when it let go of the address.
	Released time.Time
}

// memory is a Past in use.
type memory struct {
	Past
	block *block // nil where no pool has the address
	// lot the address rests in until, nil where it does not rest.
	lot   *lot
	until time.Time
}

func newQueue(less func(a, b *memory) bool) *btree.BTreeG[*memory] { return btree.NewG(degree/2, less) }

func earlierUntil(a, b *memory) bool {
	return cmp.Or(a.until.Compare(b.until), a.Addr.Compare(b.Addr)) < 0
}

func earlierReleased(a, b *memory) bool {
	return cmp.Or(a.Released.Compare(b.Released), a.Addr.Compare(b.Addr)) < 0
}

// Advance tells the time; the allocator has no clock of its own, and never goes back. It reports whether addresses came
// to the end of their rest, so that somebody who waits may now be served.
func (a *Allocator) Advance(now time.Time) (woke bool) {
	if now.After(a.now) {
		a.now = now
	}
	for {
		m, ok := a.resting.Min()
		if !ok || m.until.After(a.now) {
			break
		}
		a.wake(m)
		woke = true
	}
	for {
		m, ok := a.idle.Min()
		if !ok || a.idle.Len() <= MostRemembered && m.Released.Add(Stickiness).After(a.now) {
			return woke
		}
		a.forget(m)
	}
}

// NextWake is when the next address comes to the end of its rest.
func (a *Allocator) NextWake() (at time.Time, ok bool) {
	m, ok := a.resting.Min()
	if !ok {
		return time.Time{}, false
	}
	return m.until, true
}

// Remember takes in what was known before, by a former process for example. Addresses that are in use or remembered
// already are passed over, and nothing was released in the future.
func (a *Allocator) Remember(past []Past) {
	for _, p := range past {
		p.Addr = p.Addr.Unmap()
		if a.slots[p.Addr] != nil || a.memories[p.Addr] != nil {
			continue
		}
		if p.Released.After(a.now) {
			p.Released = a.now
		}
		a.remember(p)
	}
}

// Remembered lists what is known of addresses that nobody holds, in order of address.
func (a *Allocator) Remembered() []Past {
	all := make([]Past, 0, len(a.memories))
	for _, m := range a.memories {
		all = append(all, m.Past)
	}
	slices.SortFunc(all, func(x, y Past) int { return x.Addr.Compare(y.Addr) })
	return all
}

// remember is for an address that nobody holds and that is free in its block, if it has one.
func (a *Allocator) remember(p Past) {
	m := &memory{Past: p}
	a.memories[p.Addr] = m
	a.pastOf[p.Key] = append(a.pastOf[p.Key], m)
	a.idle.ReplaceOrInsert(m)
	a.settle(m)
	for a.trial == nil && a.idle.Len() > MostRemembered {
		oldest, _ := a.idle.DeleteMin()
		a.forget(oldest)
	}
}

// settle makes the address rest, or not, as its pool says now.
func (a *Allocator) settle(m *memory) {
	b := a.blockOf(m.Addr)
	var until time.Time
	if b != nil && b.pool.Cooldown > 0 {
		if until = m.Released.Add(b.pool.Cooldown); !until.After(a.now) {
			until = time.Time{}
		}
	}
	if b == m.block && until.Equal(m.until) {
		return
	}
	if m.lot != nil {
		a.wake(m)
	}
	m.block = b
	if until.IsZero() {
		return
	}
	i := b.indexOf(m.Addr)
	m.until, m.lot = until, b.makeLot(a.ownerOf(m.Addr))
	m.lot.free.remove(run{i, i}, nil)
	m.lot.resting.ReplaceOrInsert(m)
	a.resting.ReplaceOrInsert(m)
	a.idle.Delete(m)
}

// wake ends the rest of an address.
func (a *Allocator) wake(m *memory) {
	i := m.block.indexOf(m.Addr)
	a.resting.Delete(m)
	m.lot.resting.Delete(m)
	m.lot.free.add(run{i, i})
	m.block.pool.freed(m.block.family)
	m.lot, m.until = nil, time.Time{}
	a.idle.ReplaceOrInsert(m)
}

// forget ends the memory of an address; it is free then.
func (a *Allocator) forget(m *memory) {
	if m.lot != nil {
		a.wake(m)
	}
	a.idle.Delete(m)
	delete(a.memories, m.Addr)
	list := slices.DeleteFunc(a.pastOf[m.Key], func(o *memory) bool { return o == m })
	if len(list) == 0 {
		delete(a.pastOf, m.Key)
	} else {
		a.pastOf[m.Key] = list
	}
}

// former is the address of the family that s had last and may have again, of those of p for o; at rest or not.
func (a *Allocator) former(p *pool, s Service, f Family, o owner) (netip.Addr, bool) {
	var last *memory
	for _, m := range a.pastOf[s.Key] {
		if m.block != nil && m.block.pool == p && m.block.family == f && a.ownerOf(m.Addr) == o && (last == nil || earlierReleased(last, m)) {
			last = m
		}
	}
	if last == nil {
		return netip.Addr{}, false
	}
	return last.Addr, true
}
