package feed

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/controller/report"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

var (
	started = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	since   = started.Add(4 * time.Minute)
	now     = started.Add(5 * time.Minute)
)

func TestVerdictOnASpeaker(t *testing.T) {
	standing := &ingotv1.Standing{Lineage: "ours", Epoch: 3, Confirmed: true}
	good := dispatch.NodeState{Connected: true, Since: since, Standing: standing}
	with := func(change func(*dispatch.NodeState)) dispatch.NodeState {
		s := good
		change(&s)
		return s
	}
	many := map[string]string{}
	for i := range mostErrors + 5 {
		many[fmt.Sprintf("bgp-route/10.0.0.%02d/32", i)] = strings.Repeat("x", 2*longestError)
	}
	tests := []struct {
		name    string
		state   dispatch.NodeState
		unheard bool
		want    metallb.ConfigurationResult
		says    string
	}{
		{name: "obeys and has taken everything", state: good, want: "Valid"},
		{name: "never heard", unheard: true, want: "Unknown", says: "which started at 2026-01-02T03:00:00Z"},
		{name: "gone", state: dispatch.NodeState{Since: since, Standing: standing}, want: "Unknown", says: "since 2026-01-02T03:04:00Z"},
		{name: "silent", state: dispatch.NodeState{Connected: true, Since: since}, want: "Unknown", says: "has not said yet"},
		{name: "announces what it remembers", state: with(func(s *dispatch.NodeState) { s.Standing = &ingotv1.Standing{Lineage: "ours"} }),
			want: "Unknown", says: "what it remembers"},
		{name: "refuses", state: with(func(s *dispatch.NodeState) {
			s.Standing = &ingotv1.Standing{Lineage: "ours", Confirmed: true, Refusal: ingotv1.Refusal_REFUSAL_HELD_BACK, Message: "would drop 12 of 13"}
		}), want: "Invalid", says: "configuration error: the speaker does not obey: would drop 12 of 13"},
		{name: "obeys another", state: with(func(s *dispatch.NodeState) { s.Standing = &ingotv1.Standing{Lineage: "theirs", Confirmed: true} }),
			want: "Invalid", says: "another store, of lineage theirs"},
		{name: "cannot do some", state: with(func(s *dispatch.NodeState) {
			s.Rejected = map[string]string{"layer2/192.0.2.1": "no\n such interface", "bgp-session/tor1": "", "something/else": "why"}
		}), want: "Invalid", says: "configuration error: BGPPeer tor1: the speaker refuses it\nlayer-2 address 192.0.2.1: no such interface\nsomething/else: why"},
		{name: "cannot do many", state: with(func(s *dispatch.NodeState) { s.Rejected = many }), want: "Invalid", says: "\nand 5 more"},
		{name: "has not answered yet", state: with(func(s *dispatch.NodeState) { s.Unacked = now.Add(-ackPatience / 2) }), want: "Valid"},
		{name: "does not answer", state: with(func(s *dispatch.NodeState) { s.Unacked = since }), want: "Unknown", says: "sent at 2026-01-02T03:04:00Z"},
	}
	for _, tt := range tests {
		got := judgeSpeaker(tt.state, !tt.unheard, "ours", started, now)
		if got.result != tt.want || !strings.Contains(got.message, tt.says) || tt.says == "" && got.message != "" {
			t.Errorf("%s: %s %q; want %s and %q", tt.name, got.result, got.message, tt.want, tt.says)
		}
		if most := (mostErrors + 1) * (longestError + 50); len(got.message) > most {
			t.Errorf("%s: the message has %d bytes", tt.name, len(got.message))
		}
	}
}

func TestVerdictOnTheController(t *testing.T) {
	said := func(r report.Report) string {
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	lease := func(holder, annotation string) *coordinationv1.Lease {
		renewed := metav1.NewMicroTime(now)
		l := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: new(int32(5)), RenewTime: &renewed}}
		if annotation != "" {
			l.Annotations = map[string]string{report.Annotation: annotation}
		}
		return l
	}
	tests := []struct {
		name    string
		lease   *coordinationv1.Lease
		renewed time.Time
		want    metallb.ConfigurationResult
		says    string
	}{
		{"all well", lease("a", said(report.Report{Holder: "a"})), now, "Valid", ""},
		{"no Lease", nil, now, "Unknown", "no Lease metallb-controller"},
		{"released", lease("", said(report.Report{Holder: "a"})), now, "Unknown", "no controller holds"},
		{"stale", lease("a", said(report.Report{Holder: "a"})), now.Add(-5 * time.Second), "Unknown", "since 2026-01-02T03:04:55Z"},
		{"about to be stale", lease("a", said(report.Report{Holder: "a"})), now.Add(-4 * time.Second), "Valid", ""},
		{"no report", lease("a", ""), now, "Unknown", "a has not reported"},
		{"report of the one before", lease("b", said(report.Report{Holder: "a"})), now, "Unknown", "b has not reported"},
		{"nonsense", lease("a", "nonsense"), now, "Unknown", "cannot be read"},
		{"errors", lease("a", said(report.Report{Holder: "a", Errors: []string{"IPAddressPool \"x\": bad", "y"}})), now, "Invalid",
			"configuration error: IPAddressPool \"x\": bad\ny"},
	}
	for _, tt := range tests {
		got := judgeController(tt.lease, tt.renewed, now)
		if got.result != tt.want || !strings.Contains(got.message, tt.says) || tt.says == "" && got.message != "" {
			t.Errorf("%s: %s %q; want %s and %q", tt.name, got.result, got.message, tt.want, tt.says)
		}
	}
}

// TestTransitionsOnly: when the condition last changed is when its status did, whatever the message says since.
func TestTransitionsOnly(t *testing.T) {
	var state *metallb.ConfigurationState
	at := func(v verdict, when time.Time) {
		state = stateOf("speaker-node1", map[string]string{labelNode: "node1"}, speakerCondition, v, state, when)
	}
	expect := func(what string, status metav1.ConditionStatus, reason, summary string, transition time.Time) {
		t.Helper()
		want := metallb.ConfigurationStateStatus{Result: state.Status.Result, ErrorSummary: summary, Conditions: []metav1.Condition{{
			Type: "configReconcilerValid", Status: status, Reason: reason, Message: summary, LastTransitionTime: metav1.NewTime(transition)}}}
		if diff := cmp.Diff(want, state.Status); diff != "" || !state.CreationTimestamp.Time.Equal(transition) {
			t.Errorf("%s, as of %s (-want +got):\n%s", what, state.CreationTimestamp, diff)
		}
	}
	at(unknown(started, "not yet"), now)
	expect("unknown", metav1.ConditionUnknown, "UnknownError", "not yet", started)
	at(verdict{result: metallb.ConfigurationValid}, now)
	expect("valid", metav1.ConditionTrue, "Reconciled", "", now)
	at(verdict{result: metallb.ConfigurationValid}, now.Add(time.Minute))
	expect("still valid", metav1.ConditionTrue, "Reconciled", "", now)
	at(invalid([]string{"a"}), now.Add(2*time.Minute))
	expect("invalid", metav1.ConditionFalse, "ConfigurationError", "configuration error: a", now.Add(2*time.Minute))
	at(invalid([]string{"b"}), now.Add(3*time.Minute))
	expect("invalid for another reason", metav1.ConditionFalse, "ConfigurationError", "configuration error: b", now.Add(2*time.Minute))
}
