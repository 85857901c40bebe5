package conditions

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// bench is where the objects of one input are judged.
type bench struct {
	in         Input
	references *rules.References
	// withheld is by object what the plan holds back, and why.
	withheld map[object][]plan.Withheld
	// covered are the addresses of Nodes in pools, by pool.
	covered    map[string][]rules.NodeAddress
	advertised map[string]bool
	verdicts   []Verdict
}

type object struct {
	kind plan.Kind
	name string
}

func newBench(in Input, references *rules.References) *bench {
	b := &bench{
		in: in, references: references, withheld: map[object][]plan.Withheld{},
		covered: references.NodeAddresses(in.Nodes), advertised: references.Advertised(),
	}
	for _, w := range in.Withheld {
		if w.Kind == plan.KindService || w.Kind == plan.KindNode {
			continue
		}
		key := object{w.Kind, w.Name.Name}
		b.withheld[key] = append(b.withheld[key], w)
	}
	return b
}

// resolved is the condition ReferencesResolved of an object.
func (b *bench) resolved(o metallb.Conditioned) condition {
	unresolved := b.references.Unresolved(o, b.in.Secrets)
	if len(unresolved) == 0 {
		return condition{metav1.ConditionTrue, Resolved, "all references resolve"}
	}
	var parts []string
	for _, u := range unresolved {
		parts = append(parts, u.String())
	}
	return condition{metav1.ConditionFalse, unresolved[0].Reason, list(parts)}
}

// because collects what the plan says of an object for one reason.
func (b *bench) because(kind plan.Kind, name string, reason plan.Reason) (messages []string) {
	for _, w := range b.withheld[object{kind, name}] {
		if w.Reason == reason {
			messages = append(messages, w.Message)
		}
	}
	return messages
}

// unless is the condition otherwise of an object that the planner understands.
func (b *bench) unless(kind plan.Kind, name string, otherwise condition) condition {
	if messages := b.because(kind, name, plan.ReasonInvalidConfiguration); len(messages) > 0 {
		return condition{metav1.ConditionFalse, InvalidConfiguration, list(messages)}
	}
	return otherwise
}

func (b *bench) pool(kind plan.Kind, name string, advertised bool) condition {
	ready := inEffect
	switch covered := b.covered[name]; {
	case len(covered) > 0:
		var parts []string
		for _, a := range covered {
			parts = append(parts, a.String())
		}
		ready = condition{metav1.ConditionFalse, CoversNodeAddress, list(parts)}
	case !advertised:
		ready = condition{metav1.ConditionTrue, NotAdvertised,
			"Services get addresses of the pool, which nobody announces: no L2Advertisement or BGPAdvertisement selects it"}
	}
	return b.unless(kind, name, ready)
}

func (b *bench) advertisement(kind plan.Kind, name string, pools []string, selectors, nodes []metav1.LabelSelector) condition {
	ready := inEffect
	conflicts := b.because(kind, name, plan.ReasonConflictingAdvertisements)
	switch {
	case len(conflicts) > 0:
		ready = condition{metav1.ConditionFalse, ConflictingAdvertisements, list(conflicts)}
	case !b.references.SelectsPools(pools, selectors):
		ready = condition{metav1.ConditionTrue, NoPoolSelected, "nothing is announced: it selects no IPAddressPool"}
	case !rules.SelectsNodes(nodes, b.in.Nodes):
		ready = condition{metav1.ConditionTrue, NoNodeSelected, "nothing is announced: spec.nodeSelectors select no Node"}
	}
	return b.unless(kind, name, ready)
}

func (b *bench) peer(p *metallb.BGPPeer) condition {
	ready := inEffect
	conflicts, refusals := b.because(plan.KindBGPPeer, p.Name, plan.ReasonConflictingPeers), b.in.Refused[p.Name]
	switch {
	case len(conflicts) > 0:
		ready = condition{metav1.ConditionFalse, ConflictingPeers, list(conflicts)}
	case len(refusals) > 0:
		var parts []string
		for _, r := range refusals {
			parts = append(parts, fmt.Sprintf("node %s: %s", r.Node, r.Reason))
		}
		ready = condition{metav1.ConditionFalse, RefusedByNode, list(parts)}
	case !rules.SelectsNodes(p.Spec.NodeSelectors, b.in.Nodes):
		ready = condition{metav1.ConditionTrue, NoNodeSelected, "there is no session: spec.nodeSelectors select no Node"}
	}
	return b.unless(plan.KindBGPPeer, p.Name, ready)
}
