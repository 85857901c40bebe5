package segment

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// start is when tests begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a segment 192.0.2.0/24 with nodes and witnesses, and what is wrong with it. It makes the reports that speakers
// would send.
type world struct {
	now       time.Time
	memory    Memory
	nodes     []*host
	witnesses []*host
}

// host is a node, or a witness.
type host struct {
	name   string
	addr   string // with prefix length
	mac    string
	link   string
	down   bool // its link
	dead   bool // nothing of it works; its stream is gone if gone
	gone   bool
	frozen time.Duration // how long the speaker has stood still
	// deafTo and muteTo are the hosts whose frames do not arrive at it, and at whom its frames do not; "*" is everybody.
	deafTo, muteTo map[string]bool
	asks           []string // peers; all if nil
	noBFD          bool
	vacant         []string // addresses that it stands by for and finds vacant
	stands         []string
	rival          *ingotv1.Layer2Report
	revision       uint64
	unheard        bool // no witness or peer was asked yet
	// hears are witnesses, by name, that it says answer, whatever is: it has not noticed yet; anew those that it asks anew.
	hears, anew map[string]bool
	// asked says, of a witness, that it asked for an address: it is one since nobody said so.
	asked bool
	last  Node // what it said last
}

// newWorld has so many nodes, and so many witnesses.
func newWorld(nodes, witnesses int) *world {
	w := &world{now: start}
	for i := 1; i <= nodes; i++ {
		w.nodes = append(w.nodes, &host{name: fmt.Sprintf("node%d", i), addr: fmt.Sprintf("192.0.2.%d/24", i), mac: fmt.Sprintf("52:54:00:00:00:%02x", i), link: "eth1"})
	}
	for i := 1; i <= witnesses; i++ {
		addr := fmt.Sprintf("192.0.2.%d", 250+i)
		w.witnesses = append(w.witnesses, &host{name: addr, addr: addr + "/24", mac: fmt.Sprintf("52:54:00:00:01:%02x", i)})
	}
	w.pass(young + time.Second) // the centre has been up for a while
	return w
}

func (w *world) node(i int) *host { return w.nodes[i-1] }

// cut pulls the cables of hosts.
func cut(hosts ...*host) {
	for _, h := range hosts {
		h.deafTo, h.muteTo = map[string]bool{"*": true}, map[string]bool{"*": true}
	}
}

// heal plugs them in again.
func heal(hosts ...*host) {
	for _, h := range hosts {
		h.deafTo, h.muteTo = nil, nil
	}
}

// part separates two groups of hosts.
func part(a, b []*host) {
	block := func(x, y *host) {
		if x.deafTo == nil {
			x.deafTo = map[string]bool{}
		}
		if x.muteTo == nil {
			x.muteTo = map[string]bool{}
		}
		x.deafTo[y.name], x.muteTo[y.name] = true, true
	}
	for _, x := range a {
		for _, y := range b {
			block(x, y)
		}
	}
}

// arrives says whether a frame of one host arrives at another.
func arrives(from, to *host) bool {
	return !from.dead && !to.dead && !from.down && !to.down &&
		!from.muteTo["*"] && !from.muteTo[to.name] && !to.deafTo["*"] && !to.deafTo[from.name]
}

func bothWays(a, b *host) bool { return arrives(a, b) && arrives(b, a) }

func said(yes bool) ingotv1.Answer {
	if yes {
		return ingotv1.Answer_ANSWER_ANSWERS
	}
	return ingotv1.Answer_ANSWER_SILENT
}

func bare(addr string) string { return netip.MustParsePrefix(addr).Addr().String() }

// reports are what the nodes say.
func (w *world) reports() []Node {
	var all []Node
	for _, h := range w.nodes {
		if h.dead && h.last.Name != "" {
			n := h.last
			n.Connected = !h.gone
			if h.frozen > 0 {
				n.Heard = w.now.Add(-h.frozen)
			}
			all = append(all, n)
			continue
		}
		n := Node{Name: h.name, Connected: !h.gone, Heard: w.now.Add(-h.frozen), Since: start, Revision: h.revision}
		n.Links = []*ingotv1.LinkReport{{Name: h.link, Mac: h.mac, Up: !h.down, Enabled: true, Carrier: !h.down, Addresses: []string{h.addr, "fe80::1/64"}}}
		if !h.unheard {
			n.Segments = []*ingotv1.SegmentReport{w.segment(h)}
		}
		for _, a := range h.stands {
			r := &ingotv1.Layer2Report{Address: a, Role: ingotv1.Layer2Address_ROLE_STANDBY}
			if slices.Contains(h.vacant, a) {
				r.VacantSinceMs = w.now.UnixMilli()
			}
			n.Layer2 = append(n.Layer2, r)
		}
		if h.rival != nil {
			n.Layer2 = append(n.Layer2, h.rival)
		}
		h.last = n
		all = append(all, n)
	}
	return all
}

func (w *world) segment(h *host) *ingotv1.SegmentReport {
	r := &ingotv1.SegmentReport{Interface: h.link}
	for _, p := range w.nodes {
		if p == h || h.asks != nil && !slices.Contains(h.asks, p.name) || netip.MustParsePrefix(p.addr).Masked() != netip.MustParsePrefix(h.addr).Masked() {
			continue
		}
		s := &ingotv1.SegmentPeerReport{Node: p.name, Address: bare(p.addr), Mac: p.mac, Answer: said(bothWays(h, p)), Heard: arrives(p, h)}
		if !h.noBFD && !p.noBFD {
			s.BfdState = "Down"
			if bothWays(h, p) && p.frozen == 0 && h.frozen == 0 {
				s.BfdState = "Up"
			}
		}
		r.Peers = append(r.Peers, s)
	}
	for _, x := range w.witnesses {
		if netip.MustParsePrefix(x.addr).Masked() != netip.MustParsePrefix(h.addr).Masked() {
			continue
		}
		report := &ingotv1.WitnessReport{Address: x.name, Mac: x.mac, Answer: said(bothWays(h, x) || h.hears[x.name]), Source: ingotv1.WitnessReport_SOURCE_ORDERED}
		if h.anew[x.name] {
			report.Answer = ingotv1.Answer_ANSWER_UNSPECIFIED
		}
		if x.asked {
			report.Source = ingotv1.WitnessReport_SOURCE_ASKER
		}
		r.Witnesses = append(r.Witnesses, report)
	}
	return r
}

// judge judges what the nodes say now.
func (w *world) judge() *Verdicts {
	v, _ := w.memory.Judge(w.now, w.reports())
	return v
}

// pass judges, lets time pass as the judge asks, and judges again.
func (w *world) pass(d time.Duration) *Verdicts {
	end := w.now.Add(d)
	for {
		v, next := w.memory.Judge(w.now, w.reports())
		if w.now.Equal(end) {
			return v
		}
		if next.IsZero() || next.After(end) {
			next = end
		}
		if !next.After(w.now) {
			panic(fmt.Sprintf("asks to be called again at %s, and it is %s", next, w.now))
		}
		w.now = next
	}
}

var vip = netip.MustParseAddr("192.0.2.100")

// said is the reasons of all nodes for an address that is on no named interface, with the remarks, by node: "-" for fit.
func (w *world) reasons(v *Verdicts) map[string]string {
	all := map[string]string{}
	for _, h := range w.nodes {
		verdict := v.Of(h.name, vip, nil)
		word := "-"
		if !verdict.Fit {
			word = string(verdict.Reason)
		}
		for _, f := range v.Faults(h.name) {
			if f.Reason == Undecided {
				word += " " + string(f.Reason)
			}
		}
		all[h.name] = word
	}
	return all
}
