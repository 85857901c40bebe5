package segment

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Memory is what a judge has to remember: since when things are as they are, and what has flapped. It is for one
// goroutine. The zero Memory is ready.
type Memory struct {
	began time.Time
	read  map[string]*reading
	// last is the topology that the readings make.
	last *topology
	// links remember those of each node's links that there is something to remember of.
	links map[string]map[string]*past
	// nodes remember those that have come and gone.
	nodes map[string]*presence
	// vacancies are since when standbys say that addresses are vacant.
	vacancies map[string]time.Time
	witnesses roster
}

// reading is what a node reported, as it was read at a revision.
type reading struct {
	revision uint64
	*member
	ears []*ear
	// calm says that nothing in it needs a judge.
	calm bool
	// vacant says that it finds an address vacant; strange, that a stranger uses one.
	vacant, strange bool
}

// past is what is remembered of one link.
type past struct {
	// deaf is since when nobody answers on it, as the centre knows; silent is the same for each witness.
	deaf   time.Time
	silent map[string]time.Time
	// shared is since when another link has its hardware address.
	shared time.Time
	// faults are those last found; began is since when there has been one that counts, and spared that its end will be
	// forgiven.
	faults []Fault
	began  time.Time
	spared bool
	hold   hold
	reason Reason // of the fault that ended last
}

// presence is what is remembered of a node's streams.
type presence struct {
	connected bool
	lost      time.Time
	hold      hold
}

func readNode(n Node) *reading {
	r := &reading{revision: n.Revision, member: reads(n), calm: true}
	for _, s := range n.Segments {
		e := listen(n.Name, s)
		r.ears = append(r.ears, e)
		r.calm = r.calm && (e.answered || !e.asked) && !e.deafTo
	}
	for _, l := range r.links {
		r.calm = r.calm && (l.up || len(l.networks) == 0 && !r.listens(l.name))
	}
	for _, a := range n.Layer2 {
		r.vacant = r.vacant || a.GetVacantSinceMs() != 0
		r.strange = r.strange || a.GetRival() != nil
	}
	return r
}

func (r *reading) listens(link string) bool {
	return slices.ContainsFunc(r.ears, func(e *ear) bool { return e.link == link })
}

// Judge says what is wrong, and when to judge again though nothing is reported; the zero time means never. nodes are all
// that are known, in any order.
func (m *Memory) Judge(now time.Time, nodes []Node) (v *Verdicts, next time.Time) {
	if m.began.IsZero() {
		m.began = now
	}
	c := &court{now: now, nodes: make(map[string]*Node, len(nodes))}
	changed := m.take(c, nodes)
	v = &Verdicts{topology: c.last, court: c, faults: map[place][]Fault{}}
	strange := false
	for _, member := range c.last.members {
		n, r := c.nodes[member.name], m.read[member.name]
		next = soonest(next, m.attend(v, n, now))
		strange = strange || r.strange && n.Connected
		next = soonest(next, m.vacancy(n, r, now))
		if r.calm && m.links[n.Name] == nil && len(c.last.shared) == 0 {
			continue
		}
		for _, l := range member.links {
			next = soonest(next, m.inspect(v, n, r, l))
		}
	}
	if strange {
		v.foreign = c.strangers()
	}
	v.witnesses, next = m.witnesses.judge(c, changed, next)
	m.forget(c.nodes, now)
	return v, next
}

// take reads what is new, and makes the court of it. It returns what is.
func (m *Memory) take(c *court, nodes []Node) (changed []*reading) {
	same := m.last != nil && len(nodes) == len(m.read)
	read := m.read
	if !same {
		read = make(map[string]*reading, len(nodes))
	}
	c.ears = make(map[string][]*ear, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		c.nodes[n.Name] = n
		before := m.read[n.Name]
		r := before
		if r == nil || n.Revision == 0 || r.revision != n.Revision {
			r = readNode(*n)
			changed = append(changed, r)
			if before == nil || !sameLinks(before.member, r.member) {
				same = false
			} else {
				r.member = before.member
			}
		}
		read[n.Name] = r
		c.ears[n.Name] = r.ears
	}
	m.read = read
	if !same {
		members := make([]*member, 0, len(nodes))
		for i := range nodes {
			members = append(members, read[nodes[i].Name].member)
		}
		slices.SortFunc(members, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
		m.last = newTopology(members)
	}
	c.last = m.last
	return changed
}

// sameLinks says whether two members are the same as far as anything is decided by.
func sameLinks(a, b *member) bool {
	return slices.EqualFunc(a.links, b.links, func(a, b *link) bool {
		return a.name == b.name && a.mac == b.mac && a.up == b.up && a.enabled == b.enabled && a.unfit == b.unfit && a.routed == b.routed &&
			a.since.Equal(b.since) && slices.Equal(a.addrs, b.addrs) && slices.Equal(a.networks, b.networks)
	})
}

// attend keeps account of a node that comes and goes.
func (m *Memory) attend(v *Verdicts, n *Node, now time.Time) (next time.Time) {
	p := m.nodes[n.Name]
	if p == nil {
		if m.nodes == nil {
			m.nodes = map[string]*presence{}
		}
		p = &presence{connected: n.Connected}
		m.nodes[n.Name] = p
	}
	switch {
	case p.connected && !n.Connected:
		p.lost = now
	case !p.connected && n.Connected && !p.lost.IsZero():
		p.hold.ended(p.lost, now, 1) // a restart is no fault
	}
	p.connected = n.Connected
	if !p.hold.held(now) {
		return time.Time{}
	}
	v.faults[place{node: n.Name}] = []Fault{{
		Reason: HeldDown, Since: p.hold.at,
		Message: fmt.Sprintf("the speaker of %s has come and gone repeatedly; it is given no address until it has stayed for a while", n.Name),
	}}
	return p.hold.until
}

// vacancy notes since when a standby says that addresses are vacant. Whether it is believed depends on when nodes were
// heard last, so that it is looked at again.
func (m *Memory) vacancy(n *Node, r *reading, now time.Time) (next time.Time) {
	if !r.vacant || !n.Connected {
		if len(m.vacancies) > 0 {
			delete(m.vacancies, n.Name)
		}
		return time.Time{}
	}
	since, known := m.vacancies[n.Name]
	if !known {
		if m.vacancies == nil {
			m.vacancies = map[string]time.Time{}
		}
		since = now
		m.vacancies[n.Name] = now
	}
	if now.Sub(since) < lasts {
		return now.Add(soon)
	}
	return time.Time{}
}

// inspect judges one link.
func (m *Memory) inspect(v *Verdicts, n *Node, r *reading, l *link) (next time.Time) {
	c := v.court
	e := c.ear(l.place())
	p := m.links[n.Name][l.name]
	if p == nil {
		missed := !l.up && (len(l.networks) > 0 || e != nil)
		if !missed && len(c.last.shared[l.place()]) == 0 && (e == nil || !e.asked) {
			return time.Time{}
		}
		p = &past{}
		if m.links == nil {
			m.links = map[string]map[string]*past{}
		}
		if m.links[n.Name] == nil {
			m.links[n.Name] = map[string]*past{}
		}
		m.links[n.Name][l.name] = p
	}
	var faults []Fault
	if n.Connected {
		faults, next = p.judge(c, l, e)
	} else {
		faults = p.faults
		if _, ok := c.vouched(l.place()); ok {
			faults = nil
		}
	}
	return soonest(next, p.settle(v, n, l, faults, m.began))
}

// judge finds the faults of a link whose node can speak.
func (p *past) judge(c *court, l *link, e *ear) (faults []Fault, next time.Time) {
	if !l.up {
		p.deaf, p.silent, p.shared = time.Time{}, nil, time.Time{}
		if len(l.networks) == 0 && e == nil {
			return nil, time.Time{} // nobody misses it
		}
		return []Fault{broken(l)}, time.Time{}
	}
	if len(c.last.shared[l.place()]) > 0 {
		if p.shared.IsZero() {
			p.shared = c.now
		}
		if f, found := c.sharedMAC(l, p.shared); found {
			faults = append(faults, f)
		}
	} else {
		p.shared = time.Time{}
	}
	if e == nil {
		p.deaf, p.silent = time.Time{}, nil
		return faults, time.Time{}
	}
	p.note(c.now, e)
	if !p.deaf.IsZero() {
		if e.waiting && c.now.Before(p.deaf.Add(patience)) {
			return faults, p.deaf.Add(patience)
		}
		f, found, later := c.deafness(e, p.deaf)
		if found {
			return append(faults, p.again(f)), later
		}
		next = later
	}
	if e.deafTo {
		f, found, later := c.witnessSilence(e, p.silent)
		if found {
			faults = append(faults, p.again(f))
		}
		next = soonest(next, later)
	}
	return faults, next
}

// note keeps account of since when nobody answers, or some witness does not.
func (p *past) note(now time.Time, e *ear) {
	switch {
	case e.answered || !e.asked:
		p.deaf = time.Time{}
	case p.deaf.IsZero():
		p.deaf = now
	}
	before := p.silent
	p.silent = nil
	if !e.deafTo {
		return
	}
	p.silent = map[string]time.Time{}
	for _, w := range e.witnesses {
		if w.answer == silent {
			since, known := before[w.name]
			if !known {
				since = now
			}
			p.silent[w.name] = since
		}
	}
}

// again returns a fault as it was said before, if it was: evidence comes bit by bit, and each bit is no news.
func (p *past) again(f Fault) Fault {
	for _, before := range p.faults {
		if before.Reason == f.Reason && (f.Reason == Undecided || overlap(before.Nodes, f.Nodes)) {
			return before
		}
	}
	return f
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// settle makes faults those of a link, and holds it down where they have just ended.
func (p *past) settle(v *Verdicts, n *Node, l *link, faults []Fault, began time.Time) (next time.Time) {
	now := v.court.now
	p.faults = faults
	bad := slices.ContainsFunc(faults, func(f Fault) bool { return f.Reason != Undecided })
	switch {
	case bad && p.began.IsZero():
		p.began = now
		p.spared = now.Sub(began) < young || !n.Since.IsZero() && now.Sub(n.Since) < young
	case !bad && !p.began.IsZero():
		if !p.spared {
			p.hold.ended(p.began, now, 0)
		}
		p.began = time.Time{}
	}
	if bad {
		p.reason = faults[0].Reason
	}
	if !bad && p.hold.held(now) {
		faults = append([]Fault{{
			Interface: l.name, Reason: HeldDown, Since: p.hold.at,
			Message: fmt.Sprintf("%s of %s has only just recovered (%s); it is given no address until it has been well for a while", l.name, l.node, p.reason),
		}}, faults...)
		next = p.hold.until
	}
	if len(faults) > 0 {
		v.faults[l.place()] = faults
	}
	return next
}

// forget drops what is remembered of nodes that are no more, and what no longer matters.
func (m *Memory) forget(nodes map[string]*Node, now time.Time) {
	for name := range m.read {
		if nodes[name] == nil {
			delete(m.read, name)
		}
	}
	for name, p := range m.nodes {
		if nodes[name] == nil && p.hold.over(now) {
			delete(m.nodes, name)
		}
	}
	for name, links := range m.links {
		for link, p := range links {
			gone := nodes[name] == nil || m.last.link(name, link) == nil
			if gone {
				*p = past{hold: p.hold, reason: p.reason}
			}
			if p.hold.over(now) && p.deaf.IsZero() && len(p.silent) == 0 && p.shared.IsZero() && len(p.faults) == 0 {
				delete(links, link)
			}
		}
		if len(links) == 0 {
			delete(m.links, name)
		}
	}
	for name := range m.vacancies {
		if nodes[name] == nil {
			delete(m.vacancies, name)
		}
	}
}
