package dispatch

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Layer2Decision is what was decided about one layer-2 address, as far as this replica knows.
type Layer2Decision struct {
	Owner string
	Term  uint64
	// Since is when it was decided; zero where an older version did.
	Since time.Time
	// Reason is why the owner has it, in words; empty where it was the first.
	Reason   string
	Standbys []string
}

// layer2View is what the last plan of this replica says of layer 2, and what it was made from. It never changes.
type layer2View struct {
	out      *plan.Output
	verdicts *segment.Verdicts // nil while none were reached
	// number is another one for each view.
	number uint64
	// nodes are the names of all nodes, sorted.
	nodes []string
	// reached are addresses that are announced, one for each network and list of interfaces.
	reached []reached
	// lacking are the faults of nodes that do not reach an address that they may own.
	lacking map[string][]segment.Fault
}

// reached is an address, and the interfaces that it may be announced on; none for all.
type reached struct {
	address    netip.Addr
	interfaces []string
}

// mostReached bounds the networks of which it is told that a node does not reach them.
const mostReached = 64

// reach finds the networks of what is announced.
func (v *layer2View) reach() (all []reached) {
	type network struct {
		netip.Prefix
		interfaces string
	}
	if v.verdicts == nil {
		return nil
	}
	seen := map[network]bool{}
	for _, a := range slices.SortedFunc(maps.Keys(v.out.Layer2), netip.Addr.Compare) {
		interfaces := v.items(v.out.Layer2[a].Owner)[plan.Layer2ID(a)].GetLayer2Address().GetInterfaces()
		of := network{v.verdicts.Network(a), strings.Join(interfaces, " ")}
		if !seen[of] && len(all) < mostReached {
			seen[of] = true
			all = append(all, reached{a, interfaces})
		}
	}
	return all
}

// Replica is the name of this replica of the apiserver.
func (h *Hub) Replica() string { return h.replica }

// Layer2Items are the items of a node's layer-2 lane, by id, by the last plan of this replica. They are shared and must
// not be changed.
func (h *Hub) Layer2Items(node string) map[string]*ingotv1.Item {
	h.nodes.mu.Lock()
	defer h.nodes.mu.Unlock()
	if p := h.nodes.plans[node]; p != nil {
		return p.Items[layer2Lane]
	}
	return nil
}

// Faults are what is wrong with the links of a node, and what it should reach and has no link to; by the last plan of this replica.
func (h *Hub) Faults(node string) []segment.Fault {
	return h.view.Load().faults(node)
}

// Layer2Decision returns what was decided about an address, by the last plan of this replica.
func (h *Hub) Layer2Decision(a netip.Addr) (Layer2Decision, bool) {
	v := h.view.Load()
	if v == nil {
		return Layer2Decision{}, false
	}
	d, ok := v.out.Decisions[a]
	if !ok {
		return Layer2Decision{}, false
	}
	told := Layer2Decision{Owner: d.Owner, Term: d.Term, Reason: d.Reason, Standbys: v.out.Layer2[a].Standbys}
	if d.SinceMs != 0 {
		told.Since = time.UnixMilli(d.SinceMs)
	}
	return told, true
}

// WhyNot says of so many nodes at most why they do not own an address, by the last plan of this replica: of its standbys
// before others.
func (h *Hub) WhyNot(a netip.Addr, most int) map[string]string {
	v := h.view.Load()
	if v == nil {
		return nil
	}
	why := map[string]string{}
	for _, names := range [][]string{v.out.Layer2[a].Standbys, v.nodes} {
		for _, node := range names {
			if len(why) == most {
				return why
			}
			if text := v.out.WhyNot(a, node); text != "" {
				why[node] = text
			}
		}
	}
	return why
}

// Layer2Plan numbers the plans of this replica: what is said of layer 2 is the same while it is.
func (h *Hub) Layer2Plan() uint64 {
	if v := h.view.Load(); v != nil {
		return v.number
	}
	return 0
}

// see publishes a plan to those who look at layer 2, and tells the followers which nodes look different by it.
func (h *Hub) see(v *layer2View) {
	before := h.view.Load()
	v.number, v.nodes, v.reached = 1, slices.Sorted(maps.Keys(v.out.Nodes)), v.reach()
	if before != nil {
		v.number += before.number
	}
	v.lacking = v.lack(before, time.Now())
	h.view.Store(v) // the engine alone does
	// With many nodes it takes a while to compare the views, while the speakers' streams need the lock.
	n := h.nodes
	n.mu.Lock()
	names := slices.Collect(maps.Keys(n.byName))
	n.mu.Unlock()
	var differ []string
	for _, node := range names {
		if !sameLayer2(before, v, node) {
			differ = append(differ, node)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range differ {
		n.touch(node)
	}
}

// sameLayer2 says whether two views are alike for a node.
func sameLayer2(a, b *layer2View, node string) bool {
	return maps.EqualFunc(a.items(node), b.items(node), func(x, y *ingotv1.Item) bool { return x == y || x.GetDigest() == y.GetDigest() }) &&
		slices.EqualFunc(a.faults(node), b.faults(node), sameFault)
}

func (v *layer2View) items(node string) map[string]*ingotv1.Item {
	if v == nil || v.out.Nodes[node] == nil {
		return nil
	}
	return v.out.Nodes[node].Items[layer2Lane]
}

// faults are what is wrong with the links of a node, and what it lacks.
func (v *layer2View) faults(node string) []segment.Fault {
	if v == nil {
		return nil
	}
	return append(slices.Clip(v.verdicts.Faults(node)), v.lacking[node]...)
}

// allFaults are those of all nodes, by node.
func (v *layer2View) allFaults() iter.Seq2[string, segment.Fault] {
	return func(yield func(string, segment.Fault) bool) {
		for _, node := range v.nodes {
			for _, f := range v.faults(node) {
				if !yield(node, f) {
					return
				}
			}
		}
	}
}

// lack finds the nodes that do not reach what they may own, for want of a link that does. What was so before has been
// since then.
func (v *layer2View) lack(before *layer2View, now time.Time) map[string][]segment.Fault {
	lacking := map[string][]segment.Fault{}
	for _, node := range v.nodes {
		for _, r := range v.reached {
			verdict := v.verdicts.Of(node, r.address, r.interfaces)
			if verdict.Reason != segment.NoLink && verdict.Reason != segment.LinkUnfit || !v.out.MayOwn(r.address, node) {
				continue
			}
			f := segment.Fault{Interface: verdict.Link, Reason: verdict.Reason, Message: verdict.Message, Since: now}
			if before != nil {
				if i := slices.IndexFunc(before.lacking[node], func(b segment.Fault) bool { return b.Message == f.Message }); i >= 0 {
					f.Since = before.lacking[node][i].Since
				}
			}
			lacking[node] = append(lacking[node], f)
		}
	}
	return lacking
}

func sameFault(a, b segment.Fault) bool {
	return a.Interface == b.Interface && a.Reason == b.Reason && a.Message == b.Message && a.Since.Equal(b.Since) && slices.Equal(a.Nodes, b.Nodes)
}
