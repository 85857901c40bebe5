// Package segment judges which nodes the network reaches: from what every speaker says of its links and of whom it hears
// on them, to verdicts on nodes and addresses, each with a reason. It is pure: no client, no socket, no clock and no
// goroutine.
//
// A segment is what links of several nodes have in common: a network. The centre learns of it in two ways. Links report
// their addresses and on-link routes, so that it is known which link of a node reaches an address; and the nodes ask each
// other, and witnesses (routers, clients: hosts that are not nodes), for their own addresses. From both follow the faults
// of Reason. Three rules keep the judgement fair:
//
//   - What is not known is no fault. A verdict rests on what was said, never on what was not said yet.
//   - Who is silent to everybody is at fault himself. A node is blamed for silence only where those who are silent to it
//     are heard by others at that time: by others who have asked since, as often as each of them asks.
//   - Where it cannot be told which of two is at fault, neither is.
package segment

import (
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Node is what the speaker of one node last said, and whether it still can speak. The reports are shared and are not
// changed.
type Node struct {
	Name string
	// Connected says that the speaker's stream is up.
	Connected bool
	// Heard is when the centre last received anything from the speaker, an echoed heartbeat included. A node that stands
	// still keeps its stream for a while; its word is not taken as evidence against others meanwhile. The zero time means
	// just now, if it is connected.
	Heard time.Time
	// Since is when the stream came up or went.
	Since time.Time
	// Revision changes with the reports; 0 means that they have to be read each time.
	Revision uint64
	Links    []*ingotv1.LinkReport
	Segments []*ingotv1.SegmentReport
	Layer2   []*ingotv1.Layer2Report
	// Leaving says that the speaker is about to stop in an orderly way.
	Leaving bool
}

// Pace is how often a node asks on a link, as it was told. The zero Pace is not known.
type Pace struct {
	Interval time.Duration
	// Before is how often it asked until Since, which is when it was told; 0 where it did not.
	Before time.Duration
	Since  time.Time
}

// Reason is why a node cannot have an address, in one word.
type Reason string

// The reasons.
const (
	// NoLink: no link of the node is in the network of the address, though links of other nodes are; or none has a name
	// that the L2Advertisements name, or those that do have addresses in other networks only.
	NoLink Reason = "NoLink"
	// LinkDown: the link is disabled, or has no carrier.
	LinkDown Reason = "LinkDown"
	// LinkUnfit: layer-2 addresses cannot be announced on the link, which is part of another, or does not do ARP.
	LinkUnfit Reason = "LinkUnfit"
	// SharedMAC: another node's link on the segment has the same hardware address.
	SharedMAC Reason = "SharedMAC"
	// Isolated: nobody on the segment hears the node nor is heard by it, while others there hear each other.
	Isolated Reason = "Isolated"
	// OneWay: the node's frames arrive at others, or theirs at it, but not both.
	OneWay Reason = "OneWay"
	// WitnessSilent: a witness that answers others does not answer the node.
	WitnessSilent Reason = "WitnessSilent"
	// HeldDown: one of the faults above has just ended. The node keeps what it has, and is given nothing yet.
	HeldDown Reason = "HeldDown"
	// Undecided: the node and another do not hear each other, and nobody can tell who is at fault. It changes nothing.
	Undecided Reason = "Undecided"
)

// Hearing says whether a witness answers.
type Hearing int

// What can be known of witnesses: None where there is none, or nothing is known yet.
const (
	None Hearing = iota
	Heard
	Silent
)

// Verdict says whether one node can have one address.
type Verdict struct {
	// Fit says that the node may be given the address.
	Fit bool
	// Keeps says that it may keep the address if it has it: it is fit, or was unfit only until lately (HeldDown).
	Keeps bool
	// Reason is why it is not fit; empty when it is.
	Reason Reason
	// Message explains the reason in one sentence, which stays the same for as long as its cause does. Of a node that is
	// fit, a remark or nothing.
	Message string
	// Since is since when, as far as known.
	Since time.Time
	// Link is the node's link over which the address is reached; empty where there is none.
	Link string
	// Witness says whether witnesses answer the node on that link: Heard where at least one does.
	Witness Hearing
}

// Fault is something wrong with one link of a node.
type Fault struct {
	Interface string
	Reason    Reason
	// Message explains it in one sentence, which stays the same for as long as its cause does.
	Message string
	Since   time.Time
	// Nodes are others that the fault concerns, sorted.
	Nodes []string
}
