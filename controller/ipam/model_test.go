package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// model is the allocator by brute force: every address of every pool in a list, every rule a loop over all there is.
type model struct {
	now          time.Time
	pools        []Pool
	reservations []Reservation
	held         map[string]Assignment
	facts        map[string]Service
	past         map[netip.Addr]Past
}

func newModel() *model {
	return &model{held: map[string]Assignment{}, facts: map[string]Service{}, past: map[netip.Addr]Past{}}
}

// admitted says whether p may serve s.
func admitted(p Pool, s Service) bool {
	if p.Pin == nil {
		return true
	}
	selected := len(p.Pin.ServiceSelectors) == 0
	for _, selector := range p.Pin.ServiceSelectors {
		selected = selected || selector.Matches(s.Labels)
	}
	return selected && (!p.Pin.ByNamespace || p.Pin.Namespaces[s.Namespace])
}

// limitOf is how many addresses of p the namespace may hold, if there is a limit.
func limitOf(p Pool, namespace string) (int64, bool) {
	if p.Quota == nil {
		return 0, false
	}
	limit, own := p.Quota.Namespaces[namespace]
	if !own {
		limit = p.Quota.PerNamespace
	}
	return limit, own || limit >= 0
}

// triesOf are the families that will do, the best first.
func triesOf(f Families) [][]Family {
	other := IPv6 - f.First
	switch {
	case !f.Dual:
		return [][]Family{{f.First}}
	case !f.Either:
		return [][]Family{{IPv4, IPv6}}
	}
	return [][]Family{{IPv4, IPv6}, {f.First}, {other}}
}

func (m *model) addresses(p Pool) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		for a := r.First(); a.IsValid() && !r.Last().Less(a); a = a.Next() {
			if !(p.AvoidBuggyIPs && buggy(a)) {
				all = append(all, a)
			}
		}
	}
	return all
}

func (m *model) poolOf(addr netip.Addr) (Pool, bool) {
	i := slices.IndexFunc(m.pools, func(p Pool) bool { return slices.Contains(m.addresses(p), addr) })
	if i < 0 {
		return Pool{}, false
	}
	return m.pools[i], true
}

func (m *model) holders(addr netip.Addr) (keys []string) {
	for key, as := range m.held {
		if slices.Contains(as.Addrs, addr) {
			keys = append(keys, key)
		}
	}
	return keys
}

// clash is "" if s may hold addr beside those who do.
func (m *model) clash(s Service, addr netip.Addr) string {
	why := ""
	for _, key := range m.holders(addr) {
		o := m.facts[key]
		switch {
		case key == s.Key:
		case s.SharingKey == "" || s.SharingKey != o.SharingKey || s.BackendKey != o.BackendKey:
			return "in use"
		case slices.ContainsFunc(s.Ports, func(p Port) bool { return slices.Contains(o.Ports, p) }):
			why = "port"
		}
	}
	return why
}

// class says what addr is to s: 0 reserved for it, 1 for its namespace, 2 not reserved, 3 reserved for others.
func (m *model) class(s Service, addr netip.Addr) int {
	for _, r := range m.reservations { // in order of name
		for _, span := range r.Ranges {
			switch {
			case !span.Contains(addr):
			case r.Namespace != s.Namespace:
				return 3
			case r.Service == "":
				return 1
			case r.Namespace+"/"+r.Service == s.Key:
				return 0
			default:
				return 3
			}
		}
	}
	return 2
}

// restsUntil is zero for an address that does not rest.
func (m *model) restsUntil(addr netip.Addr) time.Time {
	past, known := m.past[addr]
	p, _ := m.poolOf(addr)
	if until := past.Released.Add(p.Cooldown); known && p.Cooldown > 0 && until.After(m.now) {
		return until
	}
	return time.Time{}
}

func (m *model) ownedBy(namespace string, addr netip.Addr) bool {
	return slices.ContainsFunc(m.holders(addr), func(key string) bool { return m.facts[key].Namespace == namespace })
}

func (m *model) used(namespace string, p Pool) (n int64) {
	for _, addr := range m.addresses(p) {
		if m.ownedBy(namespace, addr) {
			n++
		}
	}
	return n
}

func (m *model) room(s Service, p Pool) int64 {
	limit, ok := limitOf(p, s.Namespace)
	if !ok {
		return math.MaxInt64
	}
	return limit - m.used(s.Namespace, p)
}

// former is where s was last, of the addresses of the pool and the class.
func (m *model) former(s Service, addrs []netip.Addr, class int) (last netip.Addr) {
	for _, addr := range addrs {
		p, known := m.past[addr]
		if !known || p.Key != s.Key || m.class(s, addr) != class {
			continue
		}
		if !last.IsValid() || cmp.Or(m.past[last].Released.Compare(p.Released), last.Compare(addr)) < 0 {
			last = addr
		}
	}
	return last
}

// choose is the address of the family that s gets of the pool.
func (m *model) choose(s Service, p Pool, family Family, room bool) (netip.Addr, bool) {
	var addrs []netip.Addr
	for _, addr := range m.addresses(p) {
		if FamilyOf(addr) == family {
			addrs = append(addrs, addr)
		}
	}
	former := func(class int) netip.Addr {
		if !room {
			return netip.Addr{}
		}
		return m.former(s, addrs, class)
	}
	lowest := func(class int) (found netip.Addr) {
		for _, addr := range addrs {
			if m.class(s, addr) == class && m.clash(s, addr) == "" && m.restsUntil(addr).IsZero() && (room || m.ownedBy(s.Namespace, addr)) {
				return addr
			}
		}
		return found
	}
	for _, addr := range []netip.Addr{former(0), lowest(0), former(1), former(2), lowest(1), lowest(2)} {
		if addr.IsValid() {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func (m *model) chooseAll(s Service, p Pool, families []Family) (Assignment, bool) {
	as := Assignment{Pool: p.Name}
	room := m.room(s, p)
	for _, family := range families {
		addr, ok := m.choose(s, p, family, room > 0)
		if !ok {
			return Assignment{}, false
		}
		if !m.ownedBy(s.Namespace, addr) {
			room--
		}
		as.Addrs = append(as.Addrs, addr)
	}
	return as, true
}

func (m *model) hold(s Service, as Assignment) {
	before := m.held[s.Key]
	m.held[s.Key], m.facts[s.Key] = as, s
	for _, addr := range before.Addrs {
		m.left(s.Key, addr)
	}
	for _, addr := range as.Addrs {
		delete(m.past, addr)
	}
}

func (m *model) left(key string, addr netip.Addr) {
	if len(m.holders(addr)) == 0 {
		m.past[addr] = Past{Addr: addr, Key: key, Released: m.now}
	}
}

func (m *model) release(key string) {
	before := m.held[key]
	delete(m.held, key)
	for _, addr := range before.Addrs {
		m.left(key, addr)
	}
}

func (m *model) advance(now time.Time) {
	m.now = now
	for addr, p := range m.past {
		if m.restsUntil(addr).IsZero() && !p.Released.Add(Stickiness).After(now) {
			delete(m.past, addr)
		}
	}
}

func (m *model) allocate(s Service, f Families) (Assignment, bool) {
	var candidates [2][]Pool
	for _, p := range m.pools {
		if p.AutoAssign && admitted(p, s) {
			pinned := 1
			if p.Pin != nil {
				pinned = 0
			}
			candidates[pinned] = append(candidates[pinned], p)
		}
	}
	rank := func(p Pool) int { return map[bool]int{true: math.MaxInt, false: p.Pin.Priority}[p.Pin.Priority == 0] }
	slices.SortFunc(candidates[0], func(x, y Pool) int { return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Name, y.Name)) })
	slices.SortFunc(candidates[1], func(x, y Pool) int { return cmp.Compare(x.Name, y.Name) })

	for _, p := range m.preferred(s, f, slices.Concat(candidates[0], candidates[1])) {
		for _, families := range triesOf(f) {
			if as, ok := m.chooseAll(s, p, families); ok {
				m.hold(s, as)
				return as, true
			}
		}
	}
	for _, pools := range candidates {
		for _, families := range triesOf(f) {
			for _, p := range pools {
				if as, ok := m.chooseAll(s, p, families); ok {
					m.hold(s, as)
					return as, true
				}
			}
		}
	}
	return Assignment{}, false
}

// preferred are the pools with something for s by name that it may have now, and then the one of its last address.
func (m *model) preferred(s Service, f Families, candidates []Pool) (first []Pool) {
	for _, p := range candidates {
		if slices.ContainsFunc(m.addresses(p), func(addr netip.Addr) bool {
			return f.wants(FamilyOf(addr)) && m.class(s, addr) == 0 && len(m.holders(addr)) == 0 && m.restsUntil(addr).IsZero()
		}) {
			first = append(first, p)
		}
	}
	var last netip.Addr
	for addr, past := range m.past {
		if _, ok := m.poolOf(addr); !ok || past.Key != s.Key || !f.wants(FamilyOf(addr)) || m.class(s, addr) == 3 {
			continue
		}
		if !last.IsValid() || cmp.Or(m.past[last].Released.Compare(past.Released), last.Compare(addr)) < 0 {
			last = addr
		}
	}
	if last.IsValid() {
		of, _ := m.poolOf(last)
		for _, p := range candidates {
			if p.Name == of.Name {
				first = append(first, p)
			}
		}
	}
	return first
}

func (m *model) allocateFrom(s Service, name string, f Families) (Assignment, bool) {
	i := slices.IndexFunc(m.pools, func(p Pool) bool { return p.Name == name })
	if i < 0 || !admitted(m.pools[i], s) {
		return Assignment{}, false
	}
	if f.Either {
		f.First = IPv4
	}
	for _, families := range triesOf(f) {
		if as, ok := m.chooseAll(s, m.pools[i], families); ok {
			m.hold(s, as)
			return as, true
		}
	}
	return Assignment{}, false
}

// assign says what is wrong with it; "" where nothing is.
func (m *model) assign(s Service, addrs []netip.Addr) string {
	var p Pool
	for i, addr := range addrs {
		of, ok := m.poolOf(addr)
		if !ok || i > 0 && of.Name != p.Name {
			return "outside"
		}
		p = of
	}
	if !admitted(p, s) {
		return "incompatible"
	}
	for _, addr := range addrs {
		if why := m.clash(s, addr); why != "" {
			return why
		}
	}
	for _, addr := range addrs {
		switch {
		case slices.Contains(m.held[s.Key].Addrs, addr):
		case m.class(s, addr) == 3:
			return "reserved"
		case !m.restsUntil(addr).IsZero() && m.past[addr].Key != s.Key:
			return "resting"
		}
	}
	if limit, ok := limitOf(p, s.Namespace); ok {
		before := m.used(s.Namespace, p)
		was, holds := m.held[s.Key]
		facts := m.facts[s.Key]
		more := slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return !m.ownedBy(s.Namespace, addr) })
		m.held[s.Key], m.facts[s.Key] = Assignment{Addrs: addrs}, s
		after := m.used(s.Namespace, p)
		m.held[s.Key], m.facts[s.Key] = was, facts
		if !holds {
			delete(m.held, s.Key)
		}
		if more && after > before && after > limit {
			return "quota"
		}
	}
	m.hold(s, Assignment{Addrs: addrs, Pool: p.Name})
	return ""
}

// kindOf is an error in the model's words.
func kindOf(err error) string {
	var (
		outside      *OutsideError
		incompatible *IncompatibleError
		inUse        *InUseError
		port         *PortError
		reserved     *ReservedError
		resting      *RestingError
		quota        *QuotaError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &outside):
		return "outside"
	case errors.As(err, &incompatible):
		return "incompatible"
	case errors.As(err, &inUse):
		return "in use"
	case errors.As(err, &port):
		return "port"
	case errors.As(err, &reserved):
		return "reserved"
	case errors.As(err, &resting):
		return "resting"
	case errors.As(err, &quota):
		return "quota"
	}
	return fmt.Sprintf("%T", err)
}
