package plan

import (
	"cmp"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// Protocol is how an address is announced, as events and metrics spell it.
type Protocol string

// The protocols.
const (
	BGP    Protocol = "bgp"
	Layer2 Protocol = "layer2"
)

// Reason is a short stable word for why something is withheld; MetalLB's own where it has one (spec.md section 5.5).
type Reason string

// MetalLB's reasons.
const (
	ReasonInvalidIP                   Reason = "invalidIP"
	ReasonIPNotAllowed                Reason = "ipNotAllowed"
	ReasonNotOwner                    Reason = "notOwner"
	ReasonNoMatchingAdvertisement     Reason = "noMatchingAdvertisement"
	ReasonSharedIPWithServiceSelector Reason = "sharedIPWithServiceSelector"
	ReasonConflictingAdvertisements   Reason = "conflictingAdvertisements"
	ReasonNodeNetworkUnavailable      Reason = "nodeNetworkUnavailable"
	ReasonNodeLabeledExcludeBalancers Reason = "nodeLabeledExcludeBalancers"
	ReasonNoLocalEndpoints            Reason = "noLocalEndpoints"
	ReasonNoEndpoints                 Reason = "noEndpoints"
)

// Reasons of ours.
const (
	// ReasonNotAllocated: the Service shows an address that the ledger does not have for it.
	ReasonNotAllocated Reason = "notAllocated"
	// ReasonNoSession: nodes may advertise the address, but none has a session that can carry it.
	ReasonNoSession Reason = "noSession"
	// ReasonNoSpeaker: nodes may own the address, but none has a connected speaker.
	ReasonNoSpeaker Reason = "noSpeaker"
	// ReasonUnfit: of the nodes that may own the address, the network reaches none as it should; one of them announces it
	// all the same.
	ReasonUnfit Reason = "unfit"
	// ReasonNotDrained: the node that owns the address is to go out of service, and there is no other that could take over.
	ReasonNotDrained Reason = "notDrained"
	// ReasonHandover: the new owner waits for the old one to stop answering.
	ReasonHandover Reason = "handover"
	// ReasonConflictingPeers: an older peer is in the way of a session on this node.
	ReasonConflictingPeers Reason = "conflictingPeers"
	// ReasonInvalidPassword: the Secret of a peer is missing or not what it must be.
	ReasonInvalidPassword Reason = "invalidPassword"
	// ReasonInvalidCommunity: a community is neither a value nor a known alias.
	ReasonInvalidCommunity Reason = "invalidCommunity"
	// ReasonTooManyCommunities: several advertisements make one route with more communities than can be sent.
	ReasonTooManyCommunities Reason = "tooManyCommunities"
	// ReasonInvalidConfiguration: something stored does not parse, though the rules should have refused it.
	ReasonInvalidConfiguration Reason = "invalidConfiguration"
)

// Kind is the kind of object that a Withheld is about.
type Kind string

// The kinds that something can be withheld of.
const (
	KindService          Kind = "Service"
	KindNode             Kind = "Node"
	KindIPAddressPool    Kind = "IPAddressPool"
	KindAddressPool      Kind = "AddressPool"
	KindBGPPeer          Kind = "BGPPeer"
	KindBGPAdvertisement Kind = "BGPAdvertisement"
	KindL2Advertisement  Kind = "L2Advertisement"
	KindCommunity        Kind = "Community"
)

// Withheld says what is not announced or not applied, where, and why. It is comparable, so that a difference of two
// plans is a difference of two sets. It never contains a secret.
type Withheld struct {
	Kind Kind
	Name types.NamespacedName
	// Address concerned; the zero Addr when it is the whole object.
	Address netip.Addr
	// Protocol concerned; empty when all are.
	Protocol Protocol
	// Node concerned; empty when all are.
	Node   string
	Reason Reason
	// Message is a sentence for people.
	Message string
}

func compareWithheld(a, b Withheld) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name.Namespace, b.Name.Namespace),
		cmp.Compare(a.Name.Name, b.Name.Name),
		a.Address.Compare(b.Address),
		cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Node, b.Node),
		cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.Message, b.Message),
	)
}
