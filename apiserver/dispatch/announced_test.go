package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func owned(address string, role ingotv1.Layer2Address_Role, services ...string) *ingotv1.Item {
	l2 := &ingotv1.Layer2Address{Address: address, Role: role, Term: 3}
	for _, s := range services {
		l2.Services = append(l2.Services, &ingotv1.ServiceRef{Namespace: "default", Name: s, Address: address})
	}
	return &ingotv1.Item{Id: "layer2/" + address, Digest: "1", Content: &ingotv1.Item_Layer2Address{Layer2Address: l2}}
}

func became(item *ingotv1.Item, status ingotv1.ItemResult_Status) outcome {
	return outcome{id: item.GetId(), holding: holding{digest: item.GetDigest(), status: status, item: item}}
}

func news(protocol plan.Protocol, services ...string) (all []announcement) {
	for _, s := range services {
		all = append(all, announcement{types.NamespacedName{Namespace: "default", Name: s}, protocol})
	}
	return all
}

func TestAnnouncementsAreNewsOnce(t *testing.T) {
	const (
		pending = ingotv1.ItemResult_STATUS_PENDING
		done    = ingotv1.ItemResult_STATUS_APPLIED
		owner   = ingotv1.Layer2Address_ROLE_OWNER
		standby = ingotv1.Layer2Address_ROLE_STANDBY
	)
	gone := func(id string) outcome { return outcome{id: id, removed: true} }
	type step struct {
		o    outcome
		want []announcement
	}
	for name, test := range map[string]struct {
		held  []*ingotv1.HeldItem
		steps []step
	}{
		"pending is not announced, applied is": {steps: []step{
			{became(route("a", "1"), pending), nil},
			{became(route("a", "1"), done), news(plan.BGP, "s-a")},
			{became(route("a", "2"), done), nil},
		}},
		"two addresses of one service are one announcement": {steps: []step{
			{became(owned("10.0.0.1", owner, "web"), done), news(plan.Layer2, "web")},
			{became(owned("10.0.0.2", owner, "web"), done), nil},
			{gone("layer2/10.0.0.1"), nil},
			{became(owned("10.0.0.1", owner, "web"), done), nil},
		}},
		"a service that joins an address is news": {steps: []step{
			{became(owned("10.0.0.1", owner, "web"), done), news(plan.Layer2, "web")},
			{became(owned("10.0.0.1", owner, "web", "dns"), done), news(plan.Layer2, "dns")},
		}},
		"withdrawn and announced again is news": {steps: []step{
			{became(route("a", "1"), done), news(plan.BGP, "s-a")},
			{gone("bgp-route/a"), nil},
			{became(route("a", "1"), done), news(plan.BGP, "s-a")},
		}},
		"standing by announces nothing": {steps: []step{
			{became(owned("10.0.0.1", standby, "web"), done), nil},
			{became(owned("10.0.0.1", owner, "web"), done), news(plan.Layer2, "web")},
		}},
		"what was held is no news, not even with other content": {
			held: []*ingotv1.HeldItem{
				{Id: "bgp-route/a", Status: done}, {Id: "bgp-route/b", Status: done}, {Id: "bgp-route/c", Status: pending},
			},
			steps: []step{
				{became(route("a", "1"), done), nil},
				{became(route("b", "2"), done), nil},
				{became(route("c", "1"), done), news(plan.BGP, "s-c")},
				{gone("bgp-route/a"), nil},
				{became(route("a", "1"), done), news(plan.BGP, "s-a")},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a announced
			a.restart(test.held)
			for i, s := range test.steps {
				if diff := cmp.Diff(s.want, a.settle(s.o), cmp.AllowUnexported(announcement{})); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}
