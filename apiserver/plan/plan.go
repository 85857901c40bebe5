// Package plan decides what every node announces: from the stored configuration, what the cluster looks like and
// the ownership decided earlier, to the items that each node shall have. It is pure: no client, no socket, no
// clock and no goroutine, and the same input, in whatever order, gives the same output.
//
// The behaviour is MetalLB's (spec.md sections 5 and 6) with one difference that users asked for: an owner of a
// layer-2 address, once elected, stays the owner for as long as it is eligible.
package plan

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Input is all that decides. It is shared and is not changed.
type Input struct {
	// Config is the stored configuration at one revision; nil means empty.
	Config *metallb.Configuration
	// Services are all Services; those that are not ours to announce or have no address are ignored.
	Services []*corev1.Service
	// EndpointSlices are those of each Service.
	EndpointSlices map[types.NamespacedName][]*discoveryv1.EndpointSlice
	Nodes          []*corev1.Node
	// Secrets are those of the system namespace, by name.
	Secrets map[string]*corev1.Secret
	// Facts are by name of the node; one without was never heard of.
	Facts map[string]NodeFacts
	// Segments are the verdicts on what the nodes' links reach; nil where none were judged, when every node is fit.
	Segments Segments
	// Decisions are the stored owners of layer-2 addresses.
	Decisions map[netip.Addr]Decision
	// Ledger is who holds which address; nil for one that is not known, when all that Services show is announced.
	Ledger *Ledger
	// LoadBalancerClass limits the Services to those of exactly this class; empty means those without one.
	LoadBalancerClass string
	// IgnoreExcludeLabel has nodes announce though they have the label node.kubernetes.io/exclude-from-external-load-balancers.
	IgnoreExcludeLabel bool
	// Superseding says that the store took the place of another one. Nodes that have not been heard yet may then hold
	// addresses whose owners this store never knew, so that terms begin at 2: the first owner too asks on the segment
	// before it answers.
	Superseding bool
	// Key makes the digests of items. Digests are shown and logged and cover session passwords, so that a plain
	// hash would let anyone who sees one try passwords at leisure. It must therefore be hard to guess, and the same
	// over restarts and replicas, for a different one makes every item look changed.
	Key []byte
}

// NodeFacts is what the centre knows of a speaker.
type NodeFacts struct {
	// Connected says that its stream is up.
	Connected bool
	// Lost says that it was gone for longer than the grace, so that its addresses may move unless a neighbour hears it.
	Lost bool
	// Holds are the layer-2 addresses that it says it owns, with their terms; also while it obeys another lineage,
	// and while it is away, as it last said.
	Holds map[netip.Addr]uint64
	// Waits are those of Holds that it does not answer for yet, because another host does or for want of an interface.
	Waits map[netip.Addr]bool
	// Orders are the addresses that it was made to own by the last orders that were meant for its stream, with their
	// terms; nil where there were none yet. What it Holds beyond them, it was told to let go of.
	Orders map[netip.Addr]uint64
	// Stands are the addresses that it says it stands by for.
	Stands map[netip.Addr]bool
	// Vacant are those of Stands that nobody answers for, as it found; whether that is evidence, Segments know.
	Vacant map[netip.Addr]bool
	// Leaving says that the speaker is about to stop in an orderly way, and waits for its addresses to be taken over.
	Leaving bool
	// Released says that it said so, and its stream has ended since: it answers for nothing any more, whatever it Holds and
	// whoever hears its node. It is Lost, too.
	Released bool
}

// Decision is the owner of one layer-2 address.
type Decision struct {
	// Owner is the name of a Node.
	Owner string
	// Term grows with every change of owner; the first is 1.
	Term uint64
	// SinceMs is when it was decided, in Unix milliseconds. Plan leaves it at 0 in what it decides anew, for it has no clock.
	SinceMs int64
	// Reason is why the address came here, in words; empty where it was here first.
	Reason string
}

// Layer2Decision is how one layer-2 address is announced now.
type Layer2Decision struct {
	Decision
	// Standbys take over, in this order.
	Standbys []string
	// Waits names the node that has to let go of the address before the owner is given it; empty mostly.
	Waits string
}

// Output is what shall be. All of it is shared and must not be changed: nodes with equal content have the same
// maps and the same items.
type Output struct {
	// Nodes has a plan for every Node, and an empty one for every connected speaker that has no Node (any more), so
	// that it lets go of what it holds.
	Nodes map[string]*NodePlan
	// Decisions are all that shall be stored before anything is sent. The decision on an address lasts for as long as
	// a Service holds the address, also while nobody announces it for want of endpoints or advertisements: pods that
	// restart do not move it, and terms never run backwards. It is absent, and to be deleted, afterwards.
	Decisions map[netip.Addr]Decision
	// Layer2 are the layer-2 addresses that are announced.
	Layer2 map[netip.Addr]Layer2Decision
	// Withheld is what is not announced or not applied where one could expect it, sorted.
	Withheld []Withheld

	layer2 *layer2Table
}

// NodePlan is all that one node shall have.
type NodePlan struct {
	// Items are by lane and by id, with digests. Both lanes are always present.
	Items map[ingotv1.Lane]map[string]*ingotv1.Item
}
