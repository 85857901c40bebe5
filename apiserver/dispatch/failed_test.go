package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestFailuresAreNewsOnce(t *testing.T) {
	const (
		pending  = ingotv1.ItemResult_STATUS_PENDING
		rejected = ingotv1.ItemResult_STATUS_REJECTED
		done     = ingotv1.ItemResult_STATUS_APPLIED
		owner    = ingotv1.Layer2Address_ROLE_OWNER
		standby  = ingotv1.Layer2Address_ROLE_STANDBY
		missing  = `the interfaces specified by LB IP "10.0.0.1" doesn't exist in assigned node "node1" with protocol "layer2"`
	)
	on := func(role ingotv1.Layer2Address_Role, status ingotv1.ItemResult_Status, interfaces ...string) outcome {
		item := owned("10.0.0.1", role, "web")
		item.GetLayer2Address().Interfaces = interfaces
		return became(item, status)
	}
	refused := func(reason string) outcome {
		o := on(owner, rejected)
		o.reason = reason
		return o
	}
	type step struct {
		o    outcome
		want string
	}
	for name, test := range map[string]struct {
		held  ingotv1.ItemResult_Status
		steps []step
	}{
		"no named interface": {steps: []step{
			{on(owner, pending, "eth8", "eth9"), missing},
			{on(owner, pending, "eth9"), ""},
			{on(owner, done, "eth1"), ""},
			{on(owner, pending, "eth9"), missing},
		}},
		"one that is down is none":           {steps: []step{{on(owner, pending, "eth2"), missing}}},
		"pending for other reasons":          {steps: []step{{on(owner, pending), ""}, {on(owner, pending, "eth9", "eth1"), ""}}},
		"a standby announces nothing anyway": {steps: []step{{on(standby, pending, "eth9"), ""}}},
		"refused": {steps: []step{
			{refused("no NDP"), `cannot announce "10.0.0.1" from node "node1" with protocol "layer2": no NDP`},
			{refused("no NDP"), ""},
			{refused("no ARP"), `cannot announce "10.0.0.1" from node "node1" with protocol "layer2": no ARP`},
			{outcome{id: "layer2/10.0.0.1", removed: true}, ""},
			{refused("no ARP"), `cannot announce "10.0.0.1" from node "node1" with protocol "layer2": no ARP`},
		}},
		"refused before this process began": {held: rejected, steps: []step{
			{refused("no NDP"), ""},
			{refused("no ARP"), `cannot announce "10.0.0.1" from node "node1" with protocol "layer2": no ARP`},
		}},
		"held applied": {held: done, steps: []step{{on(owner, pending, "eth9"), missing}}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &node{name: "node1", links: map[string]*ingotv1.LinkReport{"eth1": {Name: "eth1", Up: true}, "eth2": {Name: "eth2"}}}
			var held []*ingotv1.HeldItem
			if test.held != ingotv1.ItemResult_STATUS_UNSPECIFIED {
				held = append(held, &ingotv1.HeldItem{Id: "layer2/10.0.0.1", Status: test.held})
			}
			x.failed.restart(held)
			for i, s := range test.steps {
				got := ""
				if why := x.hindrance(s.o); x.failed.settle(s.o.id, why) {
					got = failure{id: s.o.id, item: s.o.item, why: why}.message("10.0.0.1", "node1")
				}
				if diff := cmp.Diff(s.want, got); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestUnknownLinksLackNothing(t *testing.T) {
	x := &node{name: "node1"}
	if x.lacks([]string{"eth9"}) {
		t.Error("a node that has not reported its links lacks one")
	}
}

func TestReconnectRepeatsNoFailure(t *testing.T) {
	var f failed
	f.restart(nil)
	if !f.settle("a", "why") {
		t.Error("the first failure is no news")
	}
	f.restart([]*ingotv1.HeldItem{{Id: "a", Status: ingotv1.ItemResult_STATUS_REJECTED}})
	if f.settle("a", "why") {
		t.Error("the same failure is news after a reconnect")
	}
	if !f.settle("a", "another") {
		t.Error("another reason is no news after a reconnect")
	}
}
