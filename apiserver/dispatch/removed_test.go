package dispatch

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	const local = corev1.ServiceExternalTrafficPolicyLocal
	balancer := func(name string, policy corev1.ServiceExternalTrafficPolicy, addresses ...string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, policy
		for _, a := range addresses {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		return s
	}
	addr := netip.MustParseAddr("10.0.0.1")
	out := &plan.Output{
		Decisions: map[netip.Addr]plan.Decision{addr: {Owner: "node2", Term: 4, Reason: "node1 is out"}},
		Withheld: []plan.Withheld{
			{Kind: plan.KindService, Name: types.NamespacedName{Namespace: "default", Name: "empty"}, Protocol: plan.Layer2, Reason: plan.ReasonNoEndpoints, Message: "no endpoint"},
			{Kind: plan.KindBGPPeer, Name: types.NamespacedName{Namespace: "metallb-system", Name: "tor"}, Reason: plan.ReasonInvalidPassword, Message: `Secret "x" is missing`},
			{Kind: plan.KindNode, Name: types.NamespacedName{Name: "node4"}, Node: "node4", Reason: plan.ReasonNodeLabeledExcludeBalancers, Message: "node4 is excluded"},
		},
	}
	internal := balancer("internal", "", "10.0.0.9")
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	another := balancer("another", "", "10.0.0.9")
	another.Spec.LoadBalancerClass = new("example.com/a")
	services := map[string]*corev1.Service{
		"web": balancer("web", "", "10.0.0.1", "10.0.0.9"), "local": balancer("local", local, "10.0.0.9"), "empty": balancer("empty", "", "10.0.0.9"),
		"waiting": balancer("waiting", ""), "moved": balancer("moved", "", "10.0.0.3"), "internal": internal, "another": another,
	}
	r := newReasons(out, "", func(n types.NamespacedName) (*corev1.Service, bool) {
		s, ok := services[n.Name]
		return s, ok
	}, func(peer string) bool { return peer == "elsewhere" })
	nine := func(service string) *ingotv1.Item {
		return owned("10.0.0.9", ingotv1.Layer2Address_ROLE_OWNER, service)
	}
	for _, test := range []struct {
		node string
		item *ingotv1.Item
		want string
	}{
		{"node1", nine("gone"), "serviceDeleted: service default/gone deleted"},
		{"node1", nine("internal"), "notLoadBalancer: service default/internal is of type ClusterIP"},
		{"node1", nine("another"), `notOurClass: service default/another is of the load balancer class "example.com/a"`},
		{"node1", nine("waiting"), "noIPAllocated: service default/waiting has no address"},
		{"node1", nine("moved"), "loadBalancerIPChanged: service default/moved no longer has 10.0.0.9"},
		{"node1", nine("empty"), "noEndpoints: service default/empty: no endpoint"},
		{"node4", nine("web"), "nodeLabeledExcludeBalancers: node4 is excluded"},
		{"node3", nine("local"), "noLocalEndpoints: service default/local has no usable endpoint on this node, or is no longer for it"},
		{"node3", nine("web"), "notOwner: service default/web is no longer announced from this node"},
		{"node1", owned("10.0.0.1", ingotv1.Layer2Address_ROLE_OWNER, "web"), "notOwner: service default/web: 10.0.0.1 is now owned by node node2: node1 is out"},
		{"node1", session("tor", "1"), `invalidPassword: BGPPeer tor: Secret "x" is missing`},
		{"node1", session("old", "1"), "removedFromConfig: BGPPeer old deleted"},
		{"node1", session("elsewhere", "1"), "filteredByNodeSelector: BGPPeer elsewhere is no longer for this node"},
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
