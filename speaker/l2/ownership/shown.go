package ownership

import (
	"slices"
	"time"
)

// Phase returns what the claim is doing.
func (c *Claim) Phase() Phase { return c.phase }

// Role returns what the node was ordered to be.
func (c *Claim) Role() Role { return c.order.Role }

// Term returns the term of the last order, or of the node's own take-over.
func (c *Claim) Term() uint64 { return max(c.order.Term, c.taken) }

// Taken says whether the node took the address over by itself.
func (c *Claim) Taken() bool { return c.taken != 0 }

// VacantSince returns since when the owner is not heard and the address unanswered; zero when that is not so.
func (c *Claim) VacantSince() time.Duration { return c.vacancy.since }

// Rival returns the other host that was heard using the address lately, if there is one.
func (c *Claim) Rival() (Rival, bool) { return c.rival, c.rival != Rival{} }

// Answers says whether requests that arrive on the interface are to be answered.
func (c *Claim) Answers(link string) bool {
	return c.phase == Answering && slices.Contains(c.order.Links, link)
}

// Alone says that no other node could take the address over, so that it is answered whoever is heard: nobody stands by, or
// those that did have taken leave.
func (c *Claim) Alone() bool {
	for rank := range c.order.Nodes {
		if rank != c.order.Rank && !c.left(rank) {
			return false
		}
	}
	return true
}

// Interfaces returns those answered on.
func (c *Claim) Interfaces() []string {
	if c.phase != Answering {
		return nil
	}
	return c.order.Links
}

// Reason says in words what hinders the claim; it is empty when nothing does, or when no interface is there, which
// the caller knows more about.
func (c *Claim) Reason() string {
	by := "another host, " + c.rival.MAC.String() + " on " + c.rival.Link
	switch {
	case c.rival.Rank >= len(c.order.Nodes):
		by = "another node, " + c.rival.MAC.String() + " on " + c.rival.Link
	case c.rival.Rank >= 0:
		by = "node " + c.order.Nodes[c.rival.Rank] + ", " + c.rival.MAC.String() + " on " + c.rival.Link
	}
	rival := c.rival != Rival{}
	switch {
	case c.phase == Blocked || c.phase == Probing && rival:
		return "still answered by " + by
	case c.phase == Probing:
		return "probing whether another host still answers"
	case c.phase == Answering && rival:
		return "also answered by " + by
	case c.phase == Silent || c.phase == StandingBy:
		return c.why
	}
	return ""
}

// visible is what an observer sees, in comparable form. A blocked claim that probes again has nothing new to say.
type visible struct {
	role   Role
	phase  Phase
	term   uint64
	links  int
	taken  bool
	vacant time.Duration
	rival  Rival
	why    string
}

func (c *Claim) visible() visible {
	v := visible{role: c.order.Role, phase: c.phase, term: c.Term(), links: c.links, taken: c.Taken(), vacant: c.vacancy.since, rival: c.rival, why: c.why}
	if v.phase == Probing && c.rival != (Rival{}) {
		v.phase = Blocked
	}
	return v
}
