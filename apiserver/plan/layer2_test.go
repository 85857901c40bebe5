package plan

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

var cmpAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestLayer2Rules(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(f *fixture)
		owner   string
		reasons []string
	}{
		{name: "a Service of a pool without advertisements is not announced", arrange: func(f *fixture) {
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web noMatchingAdvertisement"}},
		{name: "an empty advertisement means everything", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1")
		}, owner: "node-b"},
		{name: "pools are selected by name or by label", arrange: func(f *fixture) {
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
				s.IPAddressPools = []string{"unknown"}
				s.IPAddressPoolSelectors = []metav1.LabelSelector{selector("zone", "a")}
			})
			f.Config.IPAddressPools[0].Labels = map[string]string{"zone": "a"}
			f.service("web", "10.20.30.1")
		}, owner: "node-b"},
		{name: "selectors that match nothing mean no pool", arrange: func(f *fixture) {
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
				s.IPAddressPoolSelectors = []metav1.LabelSelector{selector("zone", "a")}
			})
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web noMatchingAdvertisement"}},
		{name: "node selectors are a hard filter, and advertisements add up", arrange: func(f *fixture) {
			f.l2("one", func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = onNodes("node-a") })
			f.l2("two", func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = onNodes("node-c") })
			f.service("web", "10.20.30.1")
		}, owner: "node-c"},
		{name: "selecting no node", arrange: func(f *fixture) {
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = onNodes("node-z") })
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web layer2 noMatchingAdvertisement"}},
		{name: "service selectors", arrange: func(f *fixture) {
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
				s.ServiceSelectors = []metav1.LabelSelector{selector("app", "web")}
			})
			f.service("web", "10.20.30.1").Labels = map[string]string{"app": "web"}
			f.service("other", "10.20.30.2")
		}, owner: "node-b", reasons: []string{"Service other layer2 noMatchingAdvertisement"}},
		{name: "sharing and service selectors exclude each other", arrange: func(f *fixture) {
			f.l2("l2", func(s *metallb.L2AdvertisementSpec) {
				s.ServiceSelectors = []metav1.LabelSelector{selector("app", "web")}
			})
			s := f.service("web", "10.20.30.1")
			s.Labels = map[string]string{"app": "web"}
			s.Annotations = map[string]string{"metallb.universe.tf/allow-shared-ip": ""}
		}, reasons: []string{"Service web layer2 sharedIPWithServiceSelector"}},
		{name: "excluded nodes", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1")
			f.Nodes[1].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
			f.Nodes[2].Labels[corev1.LabelNodeExcludeBalancers] = "false"
		}, owner: "node-a", reasons: []string{"Node node-b nodeNetworkUnavailable", "Node node-c nodeLabeledExcludeBalancers"}},
		{name: "a label that is ignored excludes nobody", arrange: func(f *fixture) {
			f.IgnoreExcludeLabel = true
			f.l2("l2")
			f.service("web", "10.20.30.1")
			f.Nodes[0].Labels[corev1.LabelNodeExcludeBalancers] = ""
			f.Nodes[1].Labels[corev1.LabelNodeExcludeBalancers] = ""
		}, owner: "node-b"},
		{name: "a node that is not ready or cordoned is not excluded", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1")
			f.Nodes[1].Status.Conditions = []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionFalse},
				{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse},
			}
			f.Nodes[1].Spec.Unschedulable = true
		}, owner: "node-b"},
		{name: "Local asks for an endpoint on the node", arrange: func(f *fixture) {
			f.l2("l2")
			f.localService("web", "10.20.30.1", "node-a", "node-c")
		}, owner: "node-c"},
		{name: "Local without one", arrange: func(f *fixture) {
			f.l2("l2")
			f.localService("web", "10.20.30.1", "elsewhere")
		}, reasons: []string{"Service web layer2 noLocalEndpoints"}},
		{name: "Cluster asks for one anywhere", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1")
			f.endpoints("web")
		}, reasons: []string{"Service web layer2 noEndpoints"}},
		{name: "no speaker", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1")
			f.Facts = nil
		}, reasons: []string{"Service web layer2 noSpeaker"}},
		{name: "a host name instead of an address", arrange: func(f *fixture) {
			f.l2("l2")
			s := f.service("web", "10.20.30.1")
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{Hostname: "web.example"})
		}, reasons: []string{"Service web invalidIP"}},
		{name: "an address of no pool", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("web", "10.20.30.1", "2001:db8::1")
		}, reasons: []string{"Service web ipNotAllowed"}},
		{name: "addresses of two pools", arrange: func(f *fixture) {
			f.l2("l2")
			f.pool("six", "2001:db8::/64")
			f.service("web", "10.20.30.1", "2001:db8::1")
		}, reasons: []string{"Service web ipNotAllowed"}},
		{name: "not a load balancer, no address, or another class", arrange: func(f *fixture) {
			f.l2("l2")
			f.service("one", "10.20.30.1").Spec.Type = corev1.ServiceTypeClusterIP
			f.service("two")
			class := "other.example/lb"
			f.service("three", "10.20.30.1").Spec.LoadBalancerClass = &class
		}},
		{name: "our class only", arrange: func(f *fixture) {
			f.l2("l2")
			f.LoadBalancerClass = "metallb.io/lb"
			f.service("one", "10.20.30.1").Spec.LoadBalancerClass = &f.LoadBalancerClass
			f.service("two", "10.20.30.1")
		}, owner: "node-b"},
		{name: "an advertisement with a broken selector is left out", arrange: func(f *fixture) {
			f.l2("broken", func(s *metallb.L2AdvertisementSpec) {
				s.NodeSelectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}}
			})
			f.l2("l2")
			f.service("web", "10.20.30.1")
		}, owner: "node-b", reasons: []string{"L2Advertisement broken layer2 invalidConfiguration"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a", "node-b", "node-c")
			f.pool("p", "10.20.30.0/24")
			tt.arrange(f)

			out := Plan(f.Input)

			diff(t, "owner", tt.owner, layer2(t, out)["10.20.30.1"])
			diff(t, "reasons", tt.reasons, reasons(out))
		})
	}
}

func TestUsableEndpoints(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name       string
		conditions discoveryv1.EndpointConditions
		want       bool
	}{
		{"unknown readiness", discoveryv1.EndpointConditions{}, true},
		{"ready", discoveryv1.EndpointConditions{Ready: &yes}, true},
		{"not ready", discoveryv1.EndpointConditions{Ready: &no}, false},
		{"serving while it terminates", discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}, true},
		{"terminated", discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &yes}, false},
	}
	for _, tt := range tests {
		diff(t, tt.name, tt.want, usable(tt.conditions))
	}
}

func TestInterfaces(t *testing.T) {
	on := func(names []string, interfaces ...string) func(*metallb.L2AdvertisementSpec) {
		return func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors, s.Interfaces = onNodes(names...), interfaces }
	}
	all := []string{"node-a", "node-b", "node-c"}
	tests := []struct {
		name string
		ads  []func(*metallb.L2AdvertisementSpec)
		want []string
	}{
		{"union", []func(*metallb.L2AdvertisementSpec){on(all, "eth1", "eth0"), on(all, "eth1", "eth2")}, []string{"eth0", "eth1", "eth2"}},
		{"one without means all", []func(*metallb.L2AdvertisementSpec){on(all, "eth1"), on(all)}, nil},
		{"those of other nodes do not count", []func(*metallb.L2AdvertisementSpec){on(all, "eth1"), on([]string{"node-a"})}, []string{"eth1"}},
	}
	for _, tt := range tests {
		f := newFixture(all...)
		f.pool("p", "10.20.30.0/24")
		for i, ad := range tt.ads {
			f.l2(string(rune('a'+i)), ad)
		}
		f.service("web", "10.20.30.1")
		item := Plan(f.Input).Nodes["node-b"].Items[ingotv1.Lane_LANE_LAYER2]["layer2/10.20.30.1"]
		diff(t, tt.name, tt.want, item.GetLayer2Address().GetInterfaces())
	}
}

func TestConnectedSpeakerWithoutNodeIsToldToLetGo(t *testing.T) {
	f := newFixture("node-a")
	f.Facts["removed"] = NodeFacts{Connected: true}
	f.Facts["gone"] = NodeFacts{}

	var names []string
	out := Plan(f.Input)
	for name := range out.Nodes {
		names = append(names, name)
	}

	if len(names) != 2 || out.Nodes["removed"] == nil || len(out.Nodes["removed"].Items) != 2 {
		t.Errorf("plans for %v", names)
	}
}
