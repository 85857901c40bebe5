package ipam

// candidates are pools in the order in which they are tried.
type candidates struct {
	pools []*pool
	// full is, by family, how many of the first pools are known to have no free address for everybody, so that to find one
	// costs the same however many pools are full.
	full [2]int
}

func (c *candidates) add(p *pool) {
	p.list, p.place = c, len(c.pools)
	c.pools = append(c.pools, p)
}

// recount has nothing known.
func (c *candidates) recount() { c.full = [2]int{} }

// passed is how many of the first pools have no free address of the family for everybody.
func (c *candidates) passed(f Family) int {
	for c.full[f] < len(c.pools) && c.pools[c.full[f]].lacks(f) {
		c.full[f]++
	}
	return c.full[f]
}

// lacks reports whether no free address of the family is for everybody.
func (p *pool) lacks(f Family) bool {
	for _, b := range p.blocks {
		if b.family == f && !b.public.free.empty() {
			return false
		}
	}
	return true
}

// freed takes in that an address of the family has become free.
func (p *pool) freed(f Family) {
	if p.list != nil {
		p.list.full[f] = min(p.list.full[f], p.place)
	}
}

// worthwhile are the candidates that may have addresses of all the families for s.
func (a *Allocator) worthwhile(c *candidates, s Service, families []Family) []*pool {
	if len(a.reserved) > 0 || len(a.pastOf[s.Key]) > 0 || len(a.shared[sharing{s.SharingKey, s.BackendKey}]) > 0 {
		return c.pools // there may be something for it also where nothing is free for everybody
	}
	from := 0
	for _, f := range families {
		from = max(from, c.passed(f))
	}
	return c.pools[from:]
}
