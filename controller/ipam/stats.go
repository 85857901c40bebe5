package ipam

// Counts are the addresses of one family of a pool. They saturate at the largest int64.
type Counts struct {
	Total     int64 // usable ones
	Assigned  int64 // distinct ones in use
	Available int64 // those not in use, also where they rest or are reserved
}

// Stats counts the addresses of the named pool by family; ok is false where there is no such pool.
func (a *Allocator) Stats(name string) (byFamily [2]Counts, ok bool) {
	p := a.pools[name]
	if p == nil {
		return byFamily, false
	}
	return p.counts(), true
}

func (p *pool) counts() (byFamily [2]Counts) {
	var total, available [2]index
	for _, b := range p.blocks {
		f := b.family
		byFamily[f].Assigned += b.inUse
		total[f] = total[f].plus(b.sizeLessOne()).plus(index{lo: 1})
		available[f] = available[f].plus(b.available())
	}
	for f := range byFamily {
		byFamily[f].Total, byFamily[f].Available = total[f].int64(), available[f].int64()
	}
	return byFamily
}

// available is the number of addresses not in use.
func (b *block) available() index {
	if b.inUse == 0 {
		return b.sizeLessOne().plus(index{lo: 1})
	}
	return b.sizeLessOne().minus(index{lo: uint64(b.inUse - 1)})
}

// PoolNames lists all pools in order.
func (a *Allocator) PoolNames() []string {
	names := make([]string, len(a.byName))
	for i, p := range a.byName {
		names[i] = p.Name
	}
	return names
}

// Holders counts the Services with an assignment by pool.
func (a *Allocator) Holders() map[string]int {
	n := map[string]int{}
	for _, h := range a.holdings {
		n[h.Pool]++
	}
	return n
}
