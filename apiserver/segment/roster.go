package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

const (
	// rosterSize is how many witnesses of one network are remembered.
	rosterSize = 8
	// missed is how long a witness may be silent to everybody before it is forgotten.
	missed = time.Minute
)

// roster are the hosts of each network that are not nodes and that may be asked. Whoever is on it stays while it answers
// anybody, so that they do not change all the time.
type roster struct {
	networks map[netip.Prefix][]candidate
	// listed are their names; made anew when they change.
	listed map[netip.Prefix][]string
}

// candidate is a host that may be asked.
type candidate struct {
	name string
	addr netip.Addr
	mac  string
	// routes says that it is a router.
	routes bool
	// silent is since when it answers nobody; zero while it does.
	silent time.Time
}

// judge takes what is new, and returns who may be asked. next is when to look again, if before.
func (r *roster) judge(c *court, changed []*reading, next time.Time) (map[netip.Prefix][]string, time.Time) {
	news := false
	suspect := map[string]bool{}
	for _, reading := range changed {
		if !c.node(reading.name).Connected {
			continue
		}
		for _, e := range reading.ears {
			l := reading.link(e.link)
			for i := range e.witnesses {
				w := &e.witnesses[i]
				if w.answer == silent {
					suspect[w.name] = true
				} else if l != nil && w.mayBeAsked() {
					news = r.add(networkOf(l, w.addr), w) || news
				}
			}
		}
	}
	for network, list := range r.networks {
		for i := range list {
			cand := &list[i]
			if !suspect[cand.name] && cand.silent.IsZero() {
				continue
			}
			if c.answersAnybody(cand.name) {
				cand.silent = time.Time{}
				continue
			}
			if cand.silent.IsZero() {
				cand.silent = c.now
			}
			if at := cand.silent.Add(missed); at.After(c.now) {
				next = soonest(next, at)
			}
		}
		kept := slices.DeleteFunc(list, func(cand candidate) bool {
			return c.last.isNode(cand.addr, cand.mac) || !cand.silent.IsZero() && !c.now.Before(cand.silent.Add(missed))
		})
		if len(kept) != len(list) || c.last.networks[network] == 0 {
			news = true
			r.networks[network] = kept
		}
		if len(kept) == 0 || c.last.networks[network] == 0 {
			delete(r.networks, network)
		}
	}
	if news {
		r.listed = make(map[netip.Prefix][]string, len(r.networks))
		for network, list := range r.networks {
			for _, cand := range list {
				r.listed[network] = append(r.listed[network], cand.name)
			}
		}
	}
	return r.listed, next
}

// mayBeAsked says whether a host that a node knows is worth asking by others.
func (s *sound) mayBeAsked() bool { return s.addr.IsValid() && (s.answer == answers || s.arrives) }

// add puts a host on the list of a network, routers first; it says whether that is news.
func (r *roster) add(network netip.Prefix, w *sound) bool {
	list := r.networks[network]
	if !network.IsValid() || len(list) >= rosterSize || slices.ContainsFunc(list, func(c candidate) bool { return c.name == w.name }) {
		return false
	}
	if r.networks == nil {
		r.networks = map[netip.Prefix][]candidate{}
	}
	list = append(list, candidate{name: w.name, addr: w.addr, mac: w.mac, routes: w.routes})
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(order(a), order(b)) })
	r.networks[network] = list
	return true
}

func order(c candidate) int {
	if c.routes {
		return 0
	}
	return 1
}

// networkOf is the network of a link that an address is in; for one that means something on the link only, any.
func networkOf(l *link, a netip.Addr) netip.Prefix {
	for _, p := range l.networks {
		if p.Contains(a) || a.IsLinkLocalUnicast() {
			return p
		}
	}
	return netip.Prefix{}
}

// answersAnybody says whether a witness answers any connected node.
func (c *court) answersAnybody(witness string) bool {
	for w := range c.said(witness) {
		if w.answer == answers {
			return true
		}
	}
	return false
}

// Witnesses are hosts on the segment of a node's link that are not nodes and that any node there knows of, without those
// that have answered nobody for a while. Routers come first, and else whoever was known first.
func (v *Verdicts) Witnesses(node, link string) []string {
	if v == nil {
		return nil
	}
	l := v.topology.link(node, link)
	if l == nil {
		return nil
	}
	var all []string
	for _, p := range l.networks {
		for _, name := range v.witnesses[p] {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}
