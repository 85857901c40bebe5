package segment

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"
)

const (
	// Fresh is how long ago a node may have been heard for its word to count as evidence: two heartbeats of the pace that
	// nodes with layer-2 addresses have, and a little.
	Fresh = 600 * time.Millisecond
	// idleFresh is the same for nodes that have none, whose heartbeats are fewer.
	idleFresh = 5 * time.Second
	// agree is how much longer one node may take than another to notice that a host has fallen silent, where both listen
	// at the pace of owners and standbys; agreeIdle where one does not. Where their pace is known, it is that and a third of
	// these.
	agree     = 300 * time.Millisecond
	agreeIdle = 3 * time.Second
	// lasts is how long frames must have gone on arriving from a node that does not answer, for the link to count as one
	// that works one way.
	lasts = 2 * time.Second
	// rarely is how long a node may take to ask a host again that nobody told it to ask (rareInterval in speaker/segment, and its
	// jitter).
	rarely = 11 * time.Second
	// patience is how long a link on which nobody answers is not judged because of somebody of whom nothing is known.
	patience = 3 * time.Second
	// soon is when to look again while the word of nodes is awaited, which comes with their heartbeats.
	soon = 100 * time.Millisecond
)

// court hears what the nodes say. It does not change once made.
type court struct {
	now  time.Time
	last *topology
	// nodes, read and words are by position of the node; words are what others say about it.
	nodes []*Node
	read  []*reading
	words [][]word
	// witnesses are what is said of each. They are for the judge alone.
	witnesses map[string][]word
	// twins is since when links of several nodes have a hardware address.
	twins map[string]time.Time
	// pace is how often a node asks on a link; zero where that is not known.
	pace func(node, link string) Pace
}

// word is what one node says about another, or about a witness.
type word struct {
	*ear
	*sound
}

// node is a node with what it said, nil if it is not known.
func (c *court) node(name string) *Node {
	if i, ok := c.last.index[name]; ok {
		return c.nodes[i]
	}
	return nil
}

// ears are what a node hears on its links.
func (c *court) ears(name string) []*ear {
	if i, ok := c.last.index[name]; ok {
		return c.read[i].ears
	}
	return nil
}

// said is what connected nodes say of a witness.
func (c *court) said(witness string) iter.Seq[word] {
	return func(yield func(word) bool) {
		for _, w := range c.witnesses[witness] {
			if c.node(w.ear.node).Connected && !yield(w) {
				return
			}
		}
	}
}

// ear is what a node hears on a link, nil if it said nothing of it.
func (c *court) ear(at place) *ear {
	if i, ok := c.last.index[at.node]; ok {
		return c.read[i].ear(at.link)
	}
	return nil
}

// heard is when the centre last received something from a node.
func (n *Node) heard(now time.Time) time.Time {
	if n.Connected && n.Heard.IsZero() {
		return now
	}
	return n.Heard
}

// fresh says whether what a node hears counts as evidence: it is connected, and does not stand still.
func (c *court) fresh(e *ear) bool {
	n := c.node(e.node)
	if n == nil || !n.Connected {
		return false
	}
	limit := idleFresh
	if e.brisk {
		limit = Fresh
	}
	return c.now.Sub(n.heard(c.now)) <= limit
}

// counts says whether a word that somebody answers still holds, after another node has found that one, or all, silent at a
// time. Who says it may not have noticed yet; later says when it will have.
func (c *court) counts(w word, since time.Time) (now bool, later time.Time) {
	if !c.fresh(w.ear) {
		return false, time.Time{}
	}
	at := c.noticed(w, since)
	if kept := w.sound.kept; !kept.IsZero() && at.After(kept) {
		return false, c.now.Add(soon) // it is being asked anew
	}
	if c.now.Before(at) {
		return false, at
	}
	if !c.node(w.ear.node).heard(c.now).After(since) {
		return false, c.now.Add(soon)
	}
	return true, time.Time{}
}

// noticed is when a node that says that somebody answers would have found out, had that one fallen silent at a time.
func (c *court) noticed(w word, since time.Time) time.Time {
	wait := agreeIdle
	if w.ear.brisk {
		wait = agree
	}
	if w.sound.rare {
		return since.Add(rarely + agreeIdle/3)
	}
	p := c.pace(w.ear.node, w.ear.link)
	if p.Interval == 0 {
		return since.Add(wait)
	}
	if p.Before > 0 {
		if at := since.Add(p.Before + wait/3); !at.After(p.Since) {
			return at // before it was told of another pace
		}
		if since.Before(p.Since) {
			since = p.Since
		}
	}
	return since.Add(p.Interval + wait/3)
}

// sharesSegment says whether words about a witness with a link-local address are about one host.
func (c *court) sharesSegment(a, b *ear, witness netip.Addr) bool {
	if !witness.IsLinkLocalUnicast() {
		return true
	}
	if a.link == b.link {
		return true
	}
	one, other := c.last.link(a.node, a.link), c.last.link(b.node, b.link)
	return one != nil && other != nil && meets(one, other)
}

// meets says whether two links are in one network.
func meets(a, b *link) bool {
	for _, p := range a.networks {
		for _, q := range b.networks {
			if p == q {
				return true
			}
		}
	}
	return false
}

func (t *topology) link(node, name string) *link {
	if m := t.member(node); m != nil {
		return m.link(name)
	}
	return nil
}

// linkOf is the link of a node that has an address, "" if none does.
func (t *topology) linkOf(node string, a netip.Addr) string {
	m := t.member(node)
	if m == nil || !a.IsValid() {
		return ""
	}
	for _, l := range m.links {
		for _, p := range l.addrs {
			if p.Addr() == a {
				return l.name
			}
		}
	}
	return ""
}

// about is what connected nodes say about a node on one of its links, by node.
func (c *court) about(at place) []word {
	i, ok := c.last.index[at.node]
	if !ok {
		return nil
	}
	var found []word
	for _, w := range c.words[i] {
		if !c.node(w.ear.node).Connected {
			continue
		}
		if over := c.last.linkOf(at.node, w.addr); over == at.link || over == "" {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b word) int {
		return cmp.Or(cmp.Compare(a.ear.node, b.ear.node), cmp.Compare(a.ear.link, b.ear.link))
	})
	return found
}
