package segment

import (
	"slices"
	"time"
)

// Memory is what a judge has to remember: since when things are as they are, and what has flapped. It is for one
// goroutine. The zero Memory is ready.
type Memory struct {
	// Pace is how often a node was told to ask on a link, the zero Pace where that is not known; it may be nil.
	Pace func(node, link string) Pace

	began time.Time
	// last is the topology of the readings, nodes what is remembered of each node; by position.
	last  *topology
	nodes []*acquaintance
	// words and witnesses are what is said of each node, by position, and of each witness.
	words     [][]word
	witnesses map[string][]word
	// twins is since when a hardware address is that of links of several nodes on one segment.
	twins map[string]time.Time
	// left are nodes that are no more, as long as it matters.
	left   map[string]*acquaintance
	roster roster
}

// Judge says what is wrong, and when to judge again though nothing is reported; the zero time means never. nodes are all
// that are known, in any order.
func (m *Memory) Judge(now time.Time, nodes []Node) (v *Verdicts, next time.Time) {
	if m.began.IsZero() {
		m.began = now
	}
	c := &court{now: now, pace: m.Pace}
	if c.pace == nil {
		c.pace = func(string, string) Pace { return Pace{} }
	}
	changed := m.take(c, nodes)
	c.twins = m.twinsOf(c)
	v = &Verdicts{topology: c.last, court: c, faults: map[place][]Fault{}}
	strange := false
	for i, a := range m.nodes {
		n, r := c.nodes[i], a.read
		next = soonest(next, a.attend(v, n, now))
		next = soonest(next, a.vacancy(n, now))
		strange = strange || r.strange && n.Connected
		if r.calm && len(a.links) == 0 && len(c.last.shared) == 0 {
			continue
		}
		for _, l := range r.links {
			next = soonest(next, a.inspect(v, n, l, m.began))
		}
		a.forget(now)
	}
	if strange {
		v.foreign = c.strangers()
	}
	v.witnesses, next = m.roster.judge(c, changed, next)
	for name, a := range m.left {
		if a.forget(now); len(a.links) == 0 && a.hold.over(now) {
			delete(m.left, name)
		}
	}
	return v, next
}

// take reads what is new, and makes the court of it. It returns what is.
func (m *Memory) take(c *court, nodes []Node) (changed []*reading) {
	others := !m.knows(nodes)
	if others {
		m.meet(nodes)
	}
	c.nodes = make([]*Node, len(nodes))
	c.read = make([]*reading, len(nodes))
	moved, fresh := map[int]*member{}, map[int]bool{}
	copied := false
	for k := range nodes {
		n := &nodes[k]
		i := m.last.index[n.Name]
		a := m.nodes[i]
		if a.read.revision != n.Revision || n.Revision == 0 {
			r := readNode(*n, a.read, c.now)
			if sameLinks(a.read.member, r.member) {
				r.member = a.read.member
			} else {
				moved[i] = r.member
			}
			if !copied {
				m.words, copied = slices.Clone(m.words), true // those of before are being read
			}
			m.listen(a.read, r)
			a.read = r
			fresh[i] = true
			changed = append(changed, r)
		}
		c.nodes[i], c.read[i] = n, a.read
	}
	if len(moved) > 0 {
		m.last = m.last.with(moved)
	}
	for i, a := range m.nodes {
		if len(moved) == 0 && !others && !fresh[i] {
			continue
		}
		r := a.read.sift(m.last)
		if r == a.read {
			continue
		}
		if !copied {
			m.words, copied = slices.Clone(m.words), true
		}
		m.listen(a.read, r)
		if k := slices.Index(changed, a.read); k >= 0 {
			changed[k] = r
		}
		a.read, c.read[i] = r, r
	}
	c.last, c.words, c.witnesses = m.last, m.words, m.witnesses
	return changed
}

// twinsOf keeps account of since when links share hardware addresses.
func (m *Memory) twinsOf(c *court) map[string]time.Time {
	if len(c.last.shared) == 0 {
		m.twins = nil
		return nil
	}
	now := make(map[string]time.Time)
	for _, others := range c.last.shared {
		mac := others[0].mac
		since, known := m.twins[mac]
		if !known {
			since = c.now
		}
		now[mac] = since
	}
	m.twins = now
	return now
}

// knows says whether the nodes are those of before, by name.
func (m *Memory) knows(nodes []Node) bool {
	if m.last == nil || len(nodes) != len(m.nodes) {
		return false
	}
	for i := range nodes {
		if _, known := m.last.index[nodes[i].Name]; !known {
			return false
		}
	}
	return true
}

// meet begins anew with nodes of which some are new, or some are no more; what is remembered of the others stays.
func (m *Memory) meet(nodes []Node) {
	before := m.left
	if before == nil {
		before = map[string]*acquaintance{}
	}
	for _, a := range m.nodes {
		before[a.read.name] = a
	}
	names := make([]string, len(nodes))
	for i := range nodes {
		names[i] = nodes[i].Name
	}
	slices.Sort(names)
	m.nodes = make([]*acquaintance, len(names))
	members := make([]*member, len(names))
	for i, name := range names {
		a := before[name]
		if a == nil {
			a = &acquaintance{read: unread(name)}
		}
		delete(before, name)
		m.nodes[i], members[i] = a, a.read.member
	}
	for _, a := range before {
		a.leave()
	}
	m.left = before
	m.last, m.words, m.witnesses = newTopology(members), make([][]word, len(names)), map[string][]word{}
	for i, name := range names {
		m.listen(unread(name), m.nodes[i].read)
	}
}

// listen puts what a node says of others in the place of what it said.
func (m *Memory) listen(before, after *reading) {
	for _, e := range before.ears {
		said := func(w word) bool { return w.ear == e }
		for _, p := range e.peers {
			if i, ok := m.last.index[p.name]; ok {
				m.words[i] = slices.DeleteFunc(slices.Clone(m.words[i]), said)
			}
		}
		for _, w := range e.witnesses {
			if m.witnesses[w.name] = slices.DeleteFunc(m.witnesses[w.name], said); len(m.witnesses[w.name]) == 0 {
				delete(m.witnesses, w.name)
			}
		}
	}
	for _, e := range after.ears {
		for k := range e.peers {
			p := &e.peers[k]
			if i, ok := m.last.index[p.name]; ok && p.name != after.name {
				m.words[i] = append(slices.Clone(m.words[i]), word{e, p})
			}
		}
		for k := range e.witnesses {
			w := &e.witnesses[k]
			m.witnesses[w.name] = append(m.witnesses[w.name], word{e, w})
		}
	}
}
