package dispatch

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func planOf(items ...*ingotv1.Item) *plan.NodePlan {
	p := &plan.NodePlan{Items: map[ingotv1.Lane]map[string]*ingotv1.Item{layer2Lane: {}, routing: {}}}
	for _, item := range items {
		lane := routing
		if item.GetLayer2Address() != nil {
			lane = layer2Lane
		}
		p.Items[lane][item.GetId()] = item
	}
	return p
}

func routesOf(items ...*ingotv1.Item) map[string]*ingotv1.Item {
	return planOf(items...).Items[routing]
}

func TestRemovalsKeepTheirReasonUntilTheItemReturns(t *testing.T) {
	r := newRemovals()
	why := func(node string, item *ingotv1.Item) string { return node + " lost " + item.GetId() }
	r.note("node1", nil, routesOf(route("a", "1"), route("b", "1")), why)
	r.note("node1", routesOf(route("a", "1"), route("b", "1")), routesOf(route("b", "1")), why)
	r.note("node1", routesOf(route("b", "1")), routesOf(), why)

	for id, want := range map[string]string{"bgp-route/a": "node1 lost bgp-route/a", "bgp-route/b": "node1 lost bgp-route/b"} {
		if got, ok := r.reason("node1", id); !ok || got != want {
			t.Errorf("reason of %s: %q, %t", id, got, ok)
		}
	}
	r.note("node1", routesOf(), routesOf(route("a", "1")), why)
	if _, ok := r.reason("node1", "bgp-route/a"); ok {
		t.Error("an item that is back still has a reason to be gone")
	}
	r.forget(map[string]*plan.NodePlan{})
	if _, ok := r.reason("node1", "bgp-route/b"); ok {
		t.Error("the reasons of a node that is gone were kept")
	}
}

func TestRemovalsAreBounded(t *testing.T) {
	r := newRemovals()
	before := planOf()
	for i := range maxReasons + 10 {
		item := route(fmt.Sprint(i), "1")
		before.Items[routing][item.GetId()] = item
	}
	r.note("node1", before.Items[routing], routesOf(), func(string, *ingotv1.Item) string { return "x" })
	if got := len(r.byNode["node1"]); got != maxReasons {
		t.Errorf("%d reasons kept, want %d", got, maxReasons)
	}
}

func TestReasonsSayWhatHappened(t *testing.T) {
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	addr := netip.MustParseAddr("10.0.0.1")
	out := &plan.Output{
		Decisions: map[netip.Addr]plan.Decision{addr: {Owner: "node2", Term: 4}},
		Withheld: []plan.Withheld{
			{Kind: plan.KindService, Name: types.NamespacedName{Namespace: "default", Name: "s-a"}, Protocol: plan.BGP, Node: "node1", Reason: plan.ReasonNoLocalEndpoints, Message: "no ready endpoint on the node"},
			{Kind: plan.KindBGPPeer, Name: types.NamespacedName{Namespace: "metallb-system", Name: "tor"}, Reason: plan.ReasonInvalidPassword, Message: `Secret "x" is missing`},
		},
	}
	exists := func(n types.NamespacedName) bool { return n == web || n.Name == "s-a" }
	r := newReasons(out, exists)
	for _, test := range []struct {
		node string
		item *ingotv1.Item
		want string
	}{
		{"node1", route("b", "1"), "service default/s-b deleted"},
		{"node1", route("a", "1"), "service default/s-a: no ready endpoint on the node"},
		{"node3", route("a", "1"), "service default/s-a is no longer announced from this node"},
		{"node1", owned("10.0.0.1", ingotv1.Layer2Address_ROLE_OWNER, "web"), "service default/web: 10.0.0.1 is now owned by node node2"},
		{"node1", session("tor", "1"), `BGPPeer tor: Secret "x" is missing`},
		{"node1", session("old", "1"), "BGPPeer old deleted, or no longer for this node"},
	} {
		if got := r.why(test.node, test.item); got != test.want {
			t.Errorf("why %s left %s:\n got %q\nwant %q", test.item.GetId(), test.node, got, test.want)
		}
	}
}

func TestUnchangedOrdersAreTheSamePointer(t *testing.T) {
	by := stamp{lineage: "L", epoch: 5, revision: 1}
	items := func(plans map[string]*plan.NodePlan) func(string, ingotv1.Lane) map[string]*ingotv1.Item {
		return func(node string, lane ingotv1.Lane) map[string]*ingotv1.Item { return plans[node].Items[lane] }
	}
	before := map[string]*plan.NodePlan{"node1": planOf(route("a", "1")), "node2": planOf(route("a", "1"))}
	after := map[string]*plan.NodePlan{"node1": planOf(route("a", "1")), "node2": planOf(route("a", "2"))}
	first := compose(by, nil, before, items(before))
	by.revision = 2
	second := compose(by, first, after, items(after))

	if first.order("node1", routing) != second.order("node1", routing) {
		t.Error("an unchanged node got a new order")
	}
	if first.order("node2", routing) == second.order("node2", routing) {
		t.Error("a changed node kept its order")
	}
	by.epoch = 6
	if third := compose(by, second, after, items(after)); third.order("node1", routing) == second.order("node1", routing) {
		t.Error("a new epoch kept an old order")
	}
	var none *desired
	if none.order("node1", routing) != nil {
		t.Error("nothing desired gave an order")
	}
}

func TestPulseForgivesOwnPauses(t *testing.T) {
	p := newPulse(start)
	p.seq = 3
	p.echoed(9, start.Add(time.Minute))
	if p.heard != start {
		t.Error("an echo of what was never sent counted")
	}
	if gap := p.tick(start.Add(heartbeatInterval)); gap != 0 {
		t.Errorf("a tick in time counted as a pause of %s", gap)
	}
	if gap := p.tick(start.Add(time.Minute)); gap == 0 || start.Add(time.Minute).Sub(p.heard) > echoTimeout {
		t.Errorf("a pause of a minute gave %s, silence of %s", gap, start.Add(time.Minute).Sub(p.heard))
	}
}
