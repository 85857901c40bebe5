package feed

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Conditions of a SpeakerState, and their reasons where no fault or refusal gives one.
const (
	conditionConnected = "Connected"
	conditionHealthy   = "Healthy"

	reasonNotConnected = "NotConnected"
	reasonNoFaults     = "NoFaults"
)

// speakerConditions sums a state up.
func speakerConditions(s *metallb.SpeakerStateStatus) []metav1.Condition {
	connected := metav1.Condition{Type: conditionConnected, Status: metav1.ConditionTrue, Reason: s.State, LastTransitionTime: *s.Since}
	healthy := metav1.Condition{Type: conditionHealthy, Status: metav1.ConditionTrue, Reason: reasonNoFaults, LastTransitionTime: *s.Since}
	switch {
	case s.State == unknownStatus:
		connected.Status, connected.Reason = metav1.ConditionFalse, reasonNotConnected
		connected.Message = "the speaker is not connected to this replica of the apiserver; the rest is as it was heard last"
		healthy.Status, healthy.Reason, healthy.Message = metav1.ConditionUnknown, reasonNotConnected, connected.Message
	case len(s.Faults)+len(s.Refusals) > 0:
		healthy.Status, healthy.Reason, healthy.Message = metav1.ConditionFalse, troubles(s)[0], firstMessage(s)
		if len(s.Faults) > 0 && s.Faults[0].Since != nil {
			healthy.LastTransitionTime = *s.Faults[0].Since
		}
	case s.State == startingState:
		healthy.Status, healthy.Reason = metav1.ConditionUnknown, startingState
	}
	return []metav1.Condition{connected, healthy}
}

// troubles are the words for what is wrong, each once.
func troubles(s *metallb.SpeakerStateStatus) []string {
	var words []string
	add := func(word string) {
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for _, r := range s.Refusals {
		add(r.Reason)
	}
	for _, f := range s.Faults {
		add(f.Reason)
	}
	return words
}

func firstMessage(s *metallb.SpeakerStateStatus) string {
	switch {
	case len(s.Refusals) > 0:
		return s.Refusals[0].Message
	case len(s.Faults) > 0:
		return s.Faults[0].Message
	}
	return ""
}

// foreignOwner is the fault of an address that a host which is none of ours uses.
const foreignOwner = "ForeignOwner"

// mostForeign bounds the addresses that are told of one by one.
const mostForeign = 16

// foreignFaults are the addresses of a node that foreign hosts use, as it heard.
func foreignFaults(reports []*ingotv1.Layer2Report) (faults []metallb.SpeakerFault) {
	for _, r := range reports {
		rival := r.GetRival()
		if rival == nil || rival.GetNode() != "" || len(faults) == mostForeign {
			continue
		}
		message := fmt.Sprintf("another host with the hardware address %s uses %s", cut(rival.GetMac()), cut(r.GetAddress()))
		if r.GetRole() == ingotv1.Layer2Address_ROLE_OWNER && !r.GetAnswering() {
			message += ", so that the node does not answer for it"
		}
		faults = append(faults, metallb.SpeakerFault{Reason: foreignOwner, Message: message, Interface: cut(rival.GetInterface()), Since: timeOf(rival.GetSinceMs())})
	}
	return faults
}

// faultsOf are faults as they are served.
func faultsOf(found []segment.Fault) []metallb.SpeakerFault {
	var faults []metallb.SpeakerFault
	for _, f := range found[:min(len(found), mostListed)] {
		s := metallb.SpeakerFault{Reason: string(f.Reason), Message: f.Message, Interface: f.Interface, Nodes: textsOf(f.Nodes)}
		if !f.Since.IsZero() {
			t := metav1.NewTime(f.Since.Truncate(time.Second))
			s.Since = &t
		}
		faults = append(faults, s)
	}
	return faults
}

// refusalReasons are the words of ingotv1.Refusal.
var refusalReasons = map[ingotv1.Refusal]string{
	ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE: "ForeignLineage",
	ingotv1.Refusal_REFUSAL_OLD_EPOCH:       "OldEpoch",
	ingotv1.Refusal_REFUSAL_HELD_BACK:       "HeldBack",
	ingotv1.Refusal_REFUSAL_PROTOCOL:        "Protocol",
}

// refusals are why the speaker does not follow: in its own words, or as the leader was answered.
func refusals(v view) (list []metallb.SpeakerRefusal) {
	add := func(kind ingotv1.Refusal, message string, since time.Time) {
		reason, ok := refusalReasons[kind]
		if !ok || slices.ContainsFunc(list, func(r metallb.SpeakerRefusal) bool { return r.Reason == reason }) {
			return
		}
		r := metallb.SpeakerRefusal{Reason: reason, Message: cut(message)}
		if !since.IsZero() {
			t := metav1.NewTime(since.Truncate(time.Second))
			r.Since = &t
		}
		list = append(list, r)
	}
	for _, lane := range []ingotv1.Lane{ingotv1.Lane_LANE_LAYER2, ingotv1.Lane_LANE_ROUTING} {
		if r, ok := v.state.Refusals[lane]; ok {
			add(r.Kind, r.Message, r.Since)
		}
	}
	if s := v.state.Standing; s != nil {
		add(s.GetRefusal(), s.GetMessage(), time.Time{})
	}
	return list
}
