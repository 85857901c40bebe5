package feed

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

// speakerStates is the kind SpeakerState.
var speakerStates = live.Kind{
	Plural: "speakerstates", Singular: "speakerstate", ShortNames: []string{"spk"},
	New:     func() runtime.Object { return &metallb.SpeakerState{} },
	NewList: func() runtime.Object { return &metallb.SpeakerStateList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "State", Type: "string", Description: "Whether the speaker is connected."},
		{Name: "Version", Type: "string", Description: "Version of the speaker."},
		{Name: "Owns", Type: "integer", Description: "Layer-2 addresses that the node answers for."},
		{Name: "Standby", Type: "integer", Description: "Layer-2 addresses that it would take over."},
		{Name: "Faults", Type: "string", Description: "What is wrong: one word for each kind of fault, or refusal of orders."},
		columns.Age(),
		{Name: "Message", Type: "string", Priority: 1, Description: "The first fault in words."},
		{Name: "Replica", Type: "string", Priority: 1, Description: "The replica of the apiserver whose view this is."},
	},
	Cells: func(o runtime.Object) []any {
		s := o.(*metallb.SpeakerState)
		return []any{columns.Text(s.Status.State), columns.Text(s.Status.Version), s.Status.Layer2.Owned, s.Status.Layer2.Standby,
			columns.Text(strings.Join(troubles(&s.Status), ",")), columns.Since(s.CreationTimestamp),
			columns.Text(firstMessage(&s.Status)), columns.Text(s.Status.Replica)}
	},
}

// States of a speaker besides Unknown.
const (
	connectedState = "Connected"
	startingState  = "Starting"
)

// Conditions of a SpeakerState, and their reasons where no fault or refusal gives one.
const (
	conditionConnected = "Connected"
	conditionHealthy   = "Healthy"

	reasonNotConnected = "NotConnected"
	reasonNoFaults     = "NoFaults"
)

// speakerStatesOf makes the one state of a node.
func speakerStatesOf(v view, set *live.Set) []live.Object {
	var before *metallb.SpeakerState
	if o, ok := set.Object(v.node); ok {
		before = o.(*metallb.SpeakerState)
	}
	return []live.Object{speakerState(v, before)}
}

// speakerState makes what is known of a node's speaker. before is the object as it was, nil if there was none.
func speakerState(v view, before *metallb.SpeakerState) *metallb.SpeakerState {
	x := v.state
	s := &metallb.SpeakerState{Status: metallb.SpeakerStateStatus{
		Node: v.node, State: connectedState, Replica: v.replica, Version: cut(x.Version), Instance: cut(x.Instance), BootID: cut(x.BootID),
		Leaving: x.Leaving, Obeys: obeyed(v), Refusals: refusals(v), Layer2: layer2Counts(x.Layer2), Faults: append(slices.Clip(v.faults), foreignFaults(x.Layer2)...),
	}}
	switch {
	case !x.Connected:
		s.Status.State = unknownStatus
	case !x.Reported:
		s.Status.State = startingState
	}
	since := metav1.NewTime(v.awaySince().Truncate(time.Second))
	s.Status.Since, s.CreationTimestamp = &since, since
	for _, l := range x.Links {
		s.Status.Links = append(s.Status.Links, linkOf(l))
	}
	for _, seg := range x.Segments {
		s.Status.Segments = append(s.Status.Segments, segmentOf(seg))
	}
	s.Name = v.node
	s.Labels = map[string]string{}
	labelValue(s.Labels, labelNodeOf, v.node)
	if before != nil {
		s.Status.Conditions = slices.Clone(before.Status.Conditions)
	}
	ill := before != nil && meta.IsStatusConditionFalse(before.Status.Conditions, conditionHealthy)
	for _, c := range speakerConditions(&s.Status) {
		if ill && c.Type == conditionHealthy && c.Status == metav1.ConditionTrue {
			c.LastTransitionTime = metav1.Time{} // now: when the last fault ended is not kept
		}
		meta.SetStatusCondition(&s.Status.Conditions, c)
	}
	return s
}

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

// obeyed is whose orders the speaker follows: what it said last, on its stream or with its last answer.
func obeyed(v view) *metallb.SpeakerOrders {
	x := v.state
	if !v.heard {
		return nil
	}
	o := &metallb.SpeakerOrders{Lineage: cut(x.Lineage), Epoch: int64(x.Epoch), Revision: x.Revision}
	if s := x.Standing; s != nil {
		o.Confirmed = s.GetConfirmed()
		if s.GetEpoch() > x.Epoch || s.GetRevision() > x.Revision || s.GetLineage() != x.Lineage {
			o.Lineage, o.Epoch, o.Revision = cut(s.GetLineage()), int64(s.GetEpoch()), s.GetRevision()
		}
	}
	return o
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

func layer2Counts(reports []*ingotv1.Layer2Report) (counts metallb.SpeakerLayer2) {
	for _, r := range reports {
		switch {
		case r.GetAnswering():
			counts.Owned++
		case r.GetRole() == ingotv1.Layer2Address_ROLE_OWNER:
			counts.Pending++
		case r.GetRole() == ingotv1.Layer2Address_ROLE_STANDBY:
			counts.Standby++
		}
	}
	return counts
}

// mostListed bounds each list of texts that a speaker sends of one link.
const mostListed = 64

func linkOf(l *ingotv1.LinkReport) metallb.SpeakerLink {
	return metallb.SpeakerLink{
		Name: cut(l.GetName()), MAC: cut(l.GetMac()), Up: l.GetUp(), Enabled: l.GetEnabled(), Carrier: l.GetCarrier(), Master: cut(l.GetMaster()),
		Addresses: textsOf(l.GetAddresses()), OnLink: textsOf(l.GetOnLink()), NextHops: textsOf(l.GetNextHops()),
		Unfit: cut(l.GetUnfit()), Since: timeOf(l.GetSinceMs()),
	}
}

// textsOf copies a list that a speaker sent; nil where it is empty.
func textsOf(said []string) []string {
	var list []string
	for _, text := range said[:min(len(said), mostListed)] {
		list = append(list, cut(text))
	}
	return list
}

func segmentOf(r *ingotv1.SegmentReport) metallb.SpeakerSegment {
	s := metallb.SpeakerSegment{Interface: cut(r.GetInterface())}
	for _, p := range r.GetPeers() {
		s.Peers = append(s.Peers, metallb.SegmentPeer{
			Node: cut(p.GetNode()), Address: cut(p.GetAddress()), MAC: cut(p.GetMac()), Answer: answerWord(p.GetAnswer()), Since: timeOf(p.GetSinceMs()),
			Heard: p.GetHeard(), BFDStatus: frr.BFDWord(p.GetBfdState()), BFDSince: timeOf(p.GetBfdSinceMs()),
		})
	}
	for _, w := range r.GetWitnesses() {
		s.Witnesses = append(s.Witnesses, metallb.SegmentWitness{
			Address: cut(w.GetAddress()), MAC: cut(w.GetMac()), Answer: answerWord(w.GetAnswer()), Since: timeOf(w.GetSinceMs()), Source: sourceWord(w.GetSource()),
		})
	}
	return s
}

func answerWord(a ingotv1.Answer) string {
	switch a {
	case ingotv1.Answer_ANSWER_ANSWERS:
		return "Answers"
	case ingotv1.Answer_ANSWER_SILENT:
		return "Silent"
	}
	return unknownStatus
}

func sourceWord(s ingotv1.WitnessReport_Source) string {
	switch s {
	case ingotv1.WitnessReport_SOURCE_ORDERED:
		return "Ordered"
	case ingotv1.WitnessReport_SOURCE_NEXT_HOP:
		return "NextHop"
	case ingotv1.WitnessReport_SOURCE_ASKER:
		return "Asker"
	}
	return ""
}
