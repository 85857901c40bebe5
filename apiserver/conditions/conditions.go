// Package conditions says in the status of each stored object how far the object is in effect. It is pure; package writer
// stores what it says.
//
// ReferencesResolved is True where all that the object names exists and can be used.
//
// Ready is True where the object is in effect as far as configuration goes: accepted, understood by the planner, and
// nothing of it held back. It is False where something that the object says is held back, or contradicts the cluster: a
// reference that does not resolve, an older BGPPeer in the way on a node, a node that cannot keep the session, an address
// that is a Node's own. Whether sessions are up and addresses are answered for is live state and plays no part, and a
// selector that selects nothing yet is in effect: Ready is True then, with a reason that says so. So an ordinary object
// becomes ready soon after it is written, whatever is written, or connected, later.
package conditions

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// The types of the conditions.
const (
	Ready              = "Ready"
	ReferencesResolved = "ReferencesResolved"
)

// Reasons of ReferencesResolved; where it is False the reason is that of package rules for the first reference.
const Resolved = "Resolved"

// Reasons of Ready.
const (
	InEffect              = "InEffect"
	NotAdvertised         = "NotAdvertised"         // True: no advertisement selects the pool
	NoPoolSelected        = "NoPoolSelected"        // True: the advertisement selects no pool
	NoNodeSelected        = "NoNodeSelected"        // True: the node selectors match no Node
	InvalidConfiguration  = "InvalidConfiguration"  // False: stored, and not understood
	ReferencesNotResolved = "ReferencesNotResolved" // False: see the other condition
	CoversNodeAddress     = "CoversNodeAddress"     // False: an address of the pool is a Node's
	ConflictingPeers      = "ConflictingPeers"      // False: held down where an older peer is in the way
	RefusedByNode         = "RefusedByNode"         // False: a node cannot do what the object says
	// False: another advertisement wants another localPref, med or asPathPrepend for the same routes of the same nodes.
	ConflictingAdvertisements = "ConflictingAdvertisements"
)

// Refusal is why one node cannot keep the session with a peer.
type Refusal struct{ Node, Reason string }

// Resources are those that have verdicts, by plural.
var Resources = []string{
	"ipaddresspools", "addresspools", "l2advertisements", "bgpadvertisements", "bgppeers", "bfdprofiles", "communities", "ipreservations",
}

// Input is all that decides. It is shared and is not changed.
type Input struct {
	Config *metallb.Configuration
	// Nodes are those of the cluster, sorted by name.
	Nodes []rules.Node
	// Secrets are those of the system namespace.
	Secrets rules.Secrets
	// Withheld is what the plan holds back; what is of no configuration object is ignored.
	Withheld []plan.Withheld
	// Refused are the refusals of sessions by the name of the BGPPeer, sorted by node.
	Refused map[string][]Refusal
}

// Verdict is what the conditions of one object shall be.
type Verdict struct {
	// Resource is the plural of its kind.
	Resource string
	// Object is as it was read with the configuration; its status may be old.
	Object metallb.Conditioned
	// Conditions are sorted by type. When they became so is for whoever knows what they were before.
	Conditions []metav1.Condition
}

// Evaluator evaluates one input after the other. What it worked out of the last configuration it keeps. It is for one
// goroutine.
type Evaluator struct{ references *rules.References }

// Evaluate says what the conditions of every object of the configuration shall be.
func (e *Evaluator) Evaluate(in Input) []Verdict {
	e.references = e.references.Next(in.Config)
	b := newBench(in, e.references)
	c := in.Config
	judge(b, "ipaddresspools", c.IPAddressPools, func(p *metallb.IPAddressPool) condition {
		return b.pool(plan.KindIPAddressPool, p.Name, b.advertised[p.Name])
	})
	judge(b, "addresspools", c.AddressPools, func(p *metallb.AddressPool) condition {
		return b.pool(plan.KindAddressPool, p.Name, true)
	})
	judge(b, "l2advertisements", c.L2Advertisements, func(a *metallb.L2Advertisement) condition {
		s := &a.Spec
		return b.advertisement(plan.KindL2Advertisement, a.Name, s.IPAddressPools, s.IPAddressPoolSelectors, s.NodeSelectors)
	})
	judge(b, "bgpadvertisements", c.BGPAdvertisements, func(a *metallb.BGPAdvertisement) condition {
		s := &a.Spec
		return b.advertisement(plan.KindBGPAdvertisement, a.Name, s.IPAddressPools, s.IPAddressPoolSelectors, s.NodeSelectors)
	})
	judge(b, "bgppeers", c.BGPPeers, b.peer)
	judge(b, "bfdprofiles", c.BFDProfiles, func(*metallb.BFDProfile) condition { return inEffect })
	judge(b, "communities", c.Communities, func(c *metallb.Community) condition {
		return b.unless(plan.KindCommunity, c.Name, inEffect)
	})
	judge(b, "ipreservations", c.IPReservations, func(*metallb.IPReservation) condition { return inEffect })
	return b.verdicts
}

// judge makes the verdicts of one kind. An object that ready finds to be ready is not, while a reference of it does not
// resolve.
func judge[T metallb.Conditioned](b *bench, resource string, objects []T, ready func(T) condition) {
	for _, o := range objects {
		resolved := b.resolved(o)
		isReady := ready(o)
		if resolved.status == metav1.ConditionFalse && isReady.status == metav1.ConditionTrue {
			isReady = condition{metav1.ConditionFalse, ReferencesNotResolved, resolved.message}
		}
		generation := o.GetGeneration()
		b.verdicts = append(b.verdicts, Verdict{resource, o, []metav1.Condition{
			isReady.of(Ready, generation), resolved.of(ReferencesResolved, generation),
		}})
	}
}

// condition is one without its type.
type condition struct {
	status          metav1.ConditionStatus
	reason, message string
}

var inEffect = condition{metav1.ConditionTrue, InEffect, "in effect"}

func (c condition) of(kind string, generation int64) metav1.Condition {
	return metav1.Condition{Type: kind, Status: c.status, Reason: c.reason, Message: c.message, ObservedGeneration: generation}
}

const (
	// mostNamed is how many things one message names.
	mostNamed = 10
	// longest bounds a message, in bytes; the API allows 32768.
	longest = 4096
)

// list joins what a message names.
func list(parts []string) string {
	more := ""
	if n := len(parts) - mostNamed; n > 0 {
		parts, more = parts[:mostNamed], "; and more"
	}
	text := strings.Join(parts, "; ")
	if len(text) > longest {
		text, more = strings.ToValidUTF8(text[:longest], ""), "…"
	}
	return text + more
}
