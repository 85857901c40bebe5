package segment

import (
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// reading is what a node reported, as it was read at a revision.
type reading struct {
	revision uint64
	*member
	ears []*ear
	// calm says that nothing in it needs a judge.
	calm bool
	// vacant is what it says of the addresses that it finds vacant; when an owner is lost they may be thousands at once.
	vacant map[netip.Addr]*ingotv1.Layer2Report
	// strange says that a stranger uses an address.
	strange bool
}

// readNode reads what a node reports; before is what it reported last.
func readNode(n Node, before *reading, now time.Time) *reading {
	r := &reading{revision: n.Revision, member: reads(n), calm: true}
	for _, s := range n.Segments {
		r.ears = append(r.ears, listen(n.Name, s, before.ear(s.GetInterface()), now))
	}
	r.calm = r.isCalm()
	for _, a := range n.Layer2 {
		if a.GetVacantSinceMs() != 0 {
			if r.vacant == nil {
				r.vacant = map[netip.Addr]*ingotv1.Layer2Report{}
			}
			r.vacant[parse(a.GetAddress())] = a
		}
		r.strange = r.strange || a.GetRival() != nil
	}
	return r
}

// sift is the reading without witnesses that are nodes, by any address of theirs: who routes lead over may be one, and
// others are told only when its links are. It is the reading itself where it has been sifted already.
func (r *reading) sift(t *topology) *reading {
	sifted := r
	for k, e := range r.ears {
		if s := e.sift(t); s != e {
			if sifted == r {
				sifted = new(*r)
				sifted.ears = slices.Clone(r.ears)
			}
			sifted.ears[k] = s
		}
	}
	if sifted != r {
		sifted.calm = sifted.isCalm()
	}
	return sifted
}

func (r *reading) isCalm() bool {
	for _, e := range r.ears {
		if !e.answered && e.asked || e.deafTo {
			return false
		}
	}
	for _, l := range r.links {
		if !l.up && (len(l.networks) > 0 || r.listens(l.name)) {
			return false
		}
	}
	return true
}

func (r *reading) listens(link string) bool {
	return r.ear(link) != nil
}

// ear is what it hears on a link, nil if it says nothing of it.
func (r *reading) ear(link string) *ear {
	for _, e := range r.ears {
		if e.link == link {
			return e
		}
	}
	return nil
}

// unread is what is known of a node of which nothing was read: no node has its revision.
func unread(name string) *reading { return &reading{revision: ^uint64(0), member: &member{name: name}} }
