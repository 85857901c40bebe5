package agent

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestReportsFullThenChangesThenFullWhenSomethingVanishes(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address).start()
	tor1 := &ingotv1.SessionReport{Peer: "tor1", State: "Active"}
	tor2 := &ingotv1.SessionReport{Peer: "tor2", State: "Established"}
	r.routes.observe([]*ingotv1.SessionReport{tor1, tor2})
	s := c.next().lead("L", 5)
	report := func() *ingotv1.Report {
		r := s.hear("a report", func(m *ingotv1.ConnectRequest) bool {
			return m.GetReport().GetFull() || len(m.GetReport().GetSessions()) > 0
		}).GetReport()
		r.Standing = nil // may come with it, or alone: TestEveryReplicaHearsWhomTheSpeakerObeys
		return r
	}
	if diff := cmp.Diff(&ingotv1.Report{Full: true, Sessions: []*ingotv1.SessionReport{tor1, tor2}}, report(), protocmp.Transform()); diff != "" {
		t.Fatalf("first report (-want +got):\n%s", diff)
	}
	s.full(route("r1", "1"))

	up := &ingotv1.SessionReport{Peer: "tor1", State: "Established"}
	late := &ingotv1.ItemResult{Id: "r1", Digest: "1", Status: ingotv1.ItemResult_STATUS_PENDING, Reason: "no interface"}
	r.routes.observe([]*ingotv1.SessionReport{up, tor2}, late)
	if diff := cmp.Diff(&ingotv1.Report{Sessions: []*ingotv1.SessionReport{up}, Results: []*ingotv1.ItemResult{late}}, report(), protocmp.Transform()); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}

	r.routes.observe([]*ingotv1.SessionReport{up})
	want := &ingotv1.Report{Full: true, Sessions: []*ingotv1.SessionReport{up}, Results: []*ingotv1.ItemResult{late}}
	if diff := cmp.Diff(want, report(), protocmp.Transform()); diff != "" {
		t.Errorf("after one vanished (-want +got):\n%s", diff)
	}
}

// TestEveryReplicaHearsWhomTheSpeakerObeys: the one that leads would know from acknowledgements, the others would not.
func TestEveryReplicaHearsWhomTheSpeakerObeys(t *testing.T) {
	a := newAuthority(t)
	leader, follower := startCentre(t, a, ""), startCentre(t, a, "")
	newRig(t, a, leader.address, follower.address).start()
	leads, follows := leader.next(), follower.next()
	follows.welcome(&ingotv1.Welcome{Replica: "b", Lineage: "L"})
	standing := func(s *conn, what string, is func(*ingotv1.Standing) bool) {
		t.Helper()
		s.hear(what, func(m *ingotv1.ConnectRequest) bool {
			st := m.GetReport().GetStanding()
			return st != nil && is(st)
		})
	}
	standing(follows, "that nobody was obeyed yet", func(st *ingotv1.Standing) bool { return !st.GetConfirmed() && st.GetLineage() == "" })

	leads.lead("L", 5).full(route("r1", "1"))
	obeyed := func(st *ingotv1.Standing) bool {
		return st.GetConfirmed() && st.GetLineage() == "L" && st.GetEpoch() == 5 && st.GetRefusal() == ingotv1.Refusal_REFUSAL_UNSPECIFIED
	}
	standing(follows, "that the leader is obeyed", obeyed)
	standing(leads, "that it is obeyed", obeyed)

	leads.lead("foreign", 9).full(route("r1", "2"))
	standing(follows, "that a foreign store is refused", func(st *ingotv1.Standing) bool {
		return st.GetLineage() == "L" && st.GetRefusal() == ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE && st.GetMessage() != ""
	})
}

func TestWhatVanishesIsToldByAFullReport(t *testing.T) {
	session := func(peer, address string) *ingotv1.SessionReport {
		return &ingotv1.SessionReport{Peer: peer, Address: address}
	}
	before := &ingotv1.Report{
		Sessions: []*ingotv1.SessionReport{session("tor1", "192.0.2.1")},
		Layer2:   []*ingotv1.Layer2Report{{Address: "192.0.2.9"}},
		Links:    []*ingotv1.LinkReport{{Name: "eth0"}, {Name: "eth1"}},
	}
	tests := []struct {
		name     string
		now      *ingotv1.Report
		delta    *ingotv1.Report
		vanished bool
	}{
		{"nothing", before, &ingotv1.Report{}, false},
		{"a session", &ingotv1.Report{Layer2: before.Layer2, Links: before.Links}, &ingotv1.Report{}, true},
		{"an address", &ingotv1.Report{Sessions: before.Sessions, Links: before.Links}, &ingotv1.Report{}, true},
		{"a link", &ingotv1.Report{Sessions: before.Sessions, Layer2: before.Layer2, Links: before.Links[:1]}, &ingotv1.Report{}, true},
		{"a session's address", &ingotv1.Report{Sessions: []*ingotv1.SessionReport{session("tor1", "192.0.2.2")}, Layer2: before.Layer2, Links: before.Links},
			&ingotv1.Report{Sessions: []*ingotv1.SessionReport{session("tor1", "192.0.2.2")}}, true},
		{"nothing, a link came", &ingotv1.Report{Sessions: before.Sessions, Layer2: before.Layer2, Links: append(before.Links[:2:2], &ingotv1.LinkReport{Name: "eth2"})},
			&ingotv1.Report{Links: append(before.Links[:2:2], &ingotv1.LinkReport{Name: "eth2"})}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o observations
			o.replace(before, &ingotv1.Report{}, withCounters)
			delta := &ingotv1.Report{}
			if got := o.replace(tt.now, delta, withoutCounters); got != tt.vanished {
				t.Errorf("vanished %v, want %v", got, tt.vanished)
			}
			if diff := cmp.Diff(tt.delta, delta, protocmp.Transform()); diff != "" {
				t.Errorf("delta (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCountersAloneAreNewsNowAndThen, and never keep a state from being told.
func TestCountersAloneAreNewsNowAndThen(t *testing.T) {
	report := func(state string, count uint64) *ingotv1.Report {
		return &ingotv1.Report{
			Sessions: []*ingotv1.SessionReport{{Peer: "tor", State: state, Counters: &ingotv1.SessionCounters{TotalSent: count}}},
			Bfd:      []*ingotv1.BfdReport{{Peer: "tor", State: state, Counters: &ingotv1.BfdCounters{ControlSent: count}}},
		}
	}
	nothing := &ingotv1.Report{}
	var o observations
	for i, step := range []struct {
		now, want *ingotv1.Report
		counters  bool
	}{
		{report("Down", 1), report("Down", 1), withoutCounters},
		{report("Down", 2), nothing, withoutCounters},
		{report("Down", 2), report("Down", 2), withCounters}, // although they were seen before
		{report("Down", 2), nothing, withCounters},
		{report("Up", 3), report("Up", 3), withoutCounters},
		{report("Up", 4), nothing, withoutCounters},
		{report("Down", 4), report("Down", 4), withoutCounters},
	} {
		delta := &ingotv1.Report{}
		if o.replace(step.now, delta, step.counters) {
			t.Errorf("step %d: something vanished", i)
		}
		if diff := cmp.Diff(step.want, delta, protocmp.Transform()); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	if !o.replace(nothing, &ingotv1.Report{}, withoutCounters) {
		t.Error("sessions vanished unnoticed")
	}
}

func TestOutboxMergesWhatWaits(t *testing.T) {
	o := newOutbox()
	result := func(id string, s ingotv1.ItemResult_Status) *ingotv1.ItemResult {
		return &ingotv1.ItemResult{Id: id, Status: s}
	}
	full := &ingotv1.Report{Full: true, Sessions: []*ingotv1.SessionReport{{Peer: "a"}, {Peer: "b"}}, Bfd: []*ingotv1.BfdReport{{Peer: "a"}}}
	o.report(&ingotv1.Report{Sessions: full.Sessions[:1], Results: []*ingotv1.ItemResult{result("x", 3)}}, full)
	o.report(&ingotv1.Report{Sessions: full.Sessions[1:], Results: []*ingotv1.ItemResult{result("y", 1)}}, full)
	o.add(&ingotv1.Report{Results: []*ingotv1.ItemResult{result("x", 1)}})
	o.ack(&ingotv1.Ack{Nonce: 1})
	o.beat(&ingotv1.Heartbeat{Echo: 1})
	o.beat(&ingotv1.Heartbeat{Echo: 2})

	var got []*ingotv1.ConnectRequest
	for m := o.next(); m != nil; m = o.next() {
		got = append(got, m)
	}
	want := []*ingotv1.ConnectRequest{
		{Message: &ingotv1.ConnectRequest_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Echo: 2}}},
		{Message: &ingotv1.ConnectRequest_Ack{Ack: &ingotv1.Ack{Nonce: 1}}},
		{Message: &ingotv1.ConnectRequest_Report{Report: &ingotv1.Report{
			Full: true, Sessions: full.Sessions, Bfd: full.Bfd, Results: []*ingotv1.ItemResult{result("x", 1), result("y", 1)},
		}}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestLongReportsAreSentInParts(t *testing.T) {
	o := newOutbox()
	r := &ingotv1.Report{Full: true}
	for i := range 2*resultsPerMessage + 1 {
		r.Results = append(r.Results, &ingotv1.ItemResult{Id: fmt.Sprint(i)})
	}
	o.report(r, r)
	var sizes []int
	for m := o.next(); m != nil; m = o.next() {
		if m.GetReport().GetFull() != (len(sizes) == 0) {
			t.Errorf("part %d: full is %v", len(sizes), m.GetReport().GetFull())
		}
		sizes = append(sizes, len(m.GetReport().GetResults()))
	}
	if diff := cmp.Diff([]int{resultsPerMessage, resultsPerMessage, 1}, sizes); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}
