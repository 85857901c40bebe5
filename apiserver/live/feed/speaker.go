package feed

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/live"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
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
