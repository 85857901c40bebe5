package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// ad is a change of an advertisement's spec.
type ad = func(*metallb.BGPAdvertisementSpec)

func lengths(v4, v6 int32) ad {
	return func(s *metallb.BGPAdvertisementSpec) { s.AggregationLength, s.AggregationLengthV6 = &v4, &v6 }
}
func pref(p int64) ad    { return func(s *metallb.BGPAdvertisementSpec) { s.LocalPref = p } }
func med(v int64) ad     { return func(s *metallb.BGPAdvertisementSpec) { s.MED = &v } }
func prepend(n int32) ad { return func(s *metallb.BGPAdvertisementSpec) { s.ASPathPrepend = n } }
func communities(c ...string) ad {
	return func(s *metallb.BGPAdvertisementSpec) { s.Communities = c }
}
func peersNamed(names ...string) ad {
	return func(s *metallb.BGPAdvertisementSpec) { s.Peers = names }
}
func nodesNamed(names ...string) ad {
	return func(s *metallb.BGPAdvertisementSpec) { s.NodeSelectors = onNodes(names...) }
}
func forApp(name string) ad {
	return func(s *metallb.BGPAdvertisementSpec) {
		s.ServiceSelectors = []metav1.LabelSelector{selector("app", name)}
	}
}

// everywhere is the same routes on both nodes of the BGP tests.
func everywhere(lines ...string) map[string][]string {
	return map[string][]string{"node-a": lines, "node-b": lines}
}

func TestRoutes(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(f *fixture)
		want    map[string][]string
		reasons []string
	}{
		{name: "an empty advertisement means /32 and /128 to all peers from all nodes", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1", "2001:db8::1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web", "2001:db8::1/128 to six for web")},
		{name: "no advertisement of the pool", arrange: func(f *fixture) {
			f.bgp("ad", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"other"} })
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web noMatchingAdvertisement"}},
		{name: "aggregates collapse and list their Services", arrange: func(f *fixture) {
			f.bgp("ad", lengths(24, 64))
			f.service("api", "10.20.30.1")
			f.service("web", "10.20.30.9", "2001:db8::9")
		}, want: everywhere("10.20.30.0/24 to tor1,tor2 for api,web", "2001:db8::/64 to six for web")},
		{name: "several lengths side by side", arrange: func(f *fixture) {
			f.bgp("narrow", pref(100))
			f.bgp("wide", lengths(24, 64), communities("65000:1"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.0/24 to tor1,tor2 communities 65000:1 for web", "10.20.30.1/32 to tor1,tor2 pref 100 for web")},
		{name: "communities of several advertisements unite, sorted, without repetition", arrange: func(f *fixture) {
			f.bgp("one", communities("65535:2", "large:1:2:3", "0:1"))
			f.bgp("two", communities("0:1", "large:1:2:2"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 0:1,65535:2,large:1:2:2,large:1:2:3 for web")},
		{name: "each peer sees the union of what goes to it", arrange: func(f *fixture) {
			f.bgp("all", communities("0:1"))
			f.bgp("one", communities("0:2"), peersNamed("tor2", "unknown"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1 communities 0:1 for web", "10.20.30.1/32 to tor2 communities 0:1,0:2 for web")},
		{name: "equal attributes make one advertisement", arrange: func(f *fixture) {
			f.bgp("one", communities("0:1"), peersNamed("tor1"))
			f.bgp("two", communities("0:1"), peersNamed("tor2"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 0:1 for web")},
		{name: "unknown peers mean nobody", arrange: func(f *fixture) {
			f.bgp("ad", peersNamed("unknown"))
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web bgp noSession"}},
		{name: "a family that no session carries", arrange: func(f *fixture) {
			f.bgp("ad")
			f.Config.BGPPeers = f.Config.BGPPeers[:2]
			f.service("web", "10.20.30.1", "2001:db8::1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web"), reasons: []string{"Service web bgp noSession"}},
		{name: "dual-stack and unnumbered sessions carry both", arrange: func(f *fixture) {
			f.bgp("ad")
			f.Config.BGPPeers[0].Spec.DualStackAddressFamily = true
			f.Config.BGPPeers[1].Spec.Address, f.Config.BGPPeers[1].Spec.Interface = "", "eth0"
			f.service("web", "10.20.30.1", "2001:db8::1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web", "2001:db8::1/128 to six,tor1,tor2 for web")},
		{name: "only nodes that have the session", arrange: func(f *fixture) {
			f.bgp("ad")
			f.Config.BGPPeers[0].Spec.NodeSelectors = onNodes("node-a")
			f.Config.BGPPeers[1].Spec.NodeSelectors = onNodes("node-z")
			f.service("web", "10.20.30.1")
		}, want: map[string][]string{"node-a": {"10.20.30.1/32 to tor1 for web"}}},
		{name: "only nodes that the advertisement selects", arrange: func(f *fixture) {
			f.bgp("ad", nodesNamed("node-b"))
			f.service("web", "10.20.30.1")
		}, want: map[string][]string{"node-b": {"10.20.30.1/32 to tor1,tor2 for web"}}},
		{name: "selecting no node", arrange: func(f *fixture) {
			f.bgp("ad", nodesNamed("node-z"))
			f.service("web", "10.20.30.1")
		}, reasons: []string{"Service web bgp notOwner"}},
		{name: "excluded nodes", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1")
			f.Nodes[0].Labels[corev1.LabelNodeExcludeBalancers] = ""
		}, want: map[string][]string{"node-b": {"10.20.30.1/32 to tor1,tor2 for web"}}, reasons: []string{"Node node-a nodeLabeledExcludeBalancers"}},
		{name: "Local: nodes with an endpoint", arrange: func(f *fixture) {
			f.bgp("ad")
			f.localService("web", "10.20.30.1", "node-b")
		}, want: map[string][]string{"node-b": {"10.20.30.1/32 to tor1,tor2 for web"}}},
		{name: "Local: nobody", arrange: func(f *fixture) {
			f.bgp("ad")
			f.localService("web", "10.20.30.1", "node-z")
		}, reasons: []string{"Service web bgp noLocalEndpoints"}},
		{name: "an aggregate stays while one of its Services is there", arrange: func(f *fixture) {
			f.bgp("ad", lengths(24, 64))
			f.localService("one", "10.20.30.1", "node-a")
			f.localService("two", "10.20.30.2", "node-a", "node-b")
		}, want: map[string][]string{"node-a": {"10.20.30.0/24 to tor1,tor2 for one,two"}, "node-b": {"10.20.30.0/24 to tor1,tor2 for two"}}},
		{name: "Cluster: no endpoint", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1")
			f.endpoints("web")
		}, reasons: []string{"Service web bgp noEndpoints"}},
		{name: "service selectors", arrange: func(f *fixture) {
			f.bgp("ad", forApp("web"))
			f.service("web", "10.20.30.1").Labels = map[string]string{"app": "web"}
			f.service("other", "10.20.30.2")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web"), reasons: []string{"Service other bgp noMatchingAdvertisement"}},
		{name: "speakers that are away keep what they announce", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1")
			f.Facts = nil
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web")},
		{name: "conflicting local preferences announce nothing", arrange: func(f *fixture) {
			f.bgp("one", pref(100), forApp("web"))
			f.bgp("two", pref(200), forApp("web"))
			f.service("web", "10.20.30.1").Labels = map[string]string{"app": "web"}
			f.service("web2", "10.20.30.2").Labels = map[string]string{"app": "web"}
		}, reasons: []string{"BGPAdvertisement one bgp conflictingAdvertisements", "BGPAdvertisement two bgp conflictingAdvertisements",
			"Service web bgp conflictingAdvertisements", "Service web2 bgp conflictingAdvertisements"}},
		{name: "only where they meet", arrange: func(f *fixture) {
			f.bgp("one", pref(100), nodesNamed("node-a"))
			f.bgp("two", pref(200))
			f.service("web", "10.20.30.1")
		}, want: map[string][]string{"node-b": {"10.20.30.1/32 to tor1,tor2 pref 200 for web"}}, reasons: []string{"BGPAdvertisement one bgp conflictingAdvertisements",
			"BGPAdvertisement two bgp conflictingAdvertisements", "Service web bgp conflictingAdvertisements"}},
		{name: "different peers, lengths or nodes do not conflict", arrange: func(f *fixture) {
			f.bgp("one", pref(100), peersNamed("tor1"))
			f.bgp("two", pref(200), peersNamed("tor2"))
			f.bgp("three", pref(300), lengths(24, 64))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.0/24 to tor1,tor2 pref 300 for web", "10.20.30.1/32 to tor1 pref 100 for web", "10.20.30.1/32 to tor2 pref 200 for web")},
		{name: "different nodes do not conflict", arrange: func(f *fixture) {
			f.bgp("one", pref(100), nodesNamed("node-a"))
			f.bgp("two", pref(200), nodesNamed("node-b"))
			f.service("web", "10.20.30.1")
		}, want: map[string][]string{"node-a": {"10.20.30.1/32 to tor1,tor2 pref 100 for web"}, "node-b": {"10.20.30.1/32 to tor1,tor2 pref 200 for web"}}},
		{name: "an address written twice, once as IPv6, is one", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1", "::ffff:10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web")},
		{name: "an endpoint without addresses is none", arrange: func(f *fixture) {
			f.bgp("ad")
			f.service("web", "10.20.30.1")
			f.EndpointSlices[types.NamespacedName{Namespace: "default", Name: "web"}][0].Endpoints[0].Addresses = nil
		}, reasons: []string{"Service web bgp noEndpoints"}},
		{name: "of two Services that share an address, the older one's preference counts", arrange: func(f *fixture) {
			f.bgp("one", pref(100), forApp("one"))
			f.bgp("two", pref(200), forApp("two"))
			f.service("z-older", "10.20.30.1").Labels = map[string]string{"app": "one"}
			f.service("a-younger", "10.20.30.1").Labels = map[string]string{"app": "two"}
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 pref 100 for z-older"), reasons: []string{"Service a-younger bgp conflictingAdvertisements"}},
		{name: "an advertisement with a community we do not know is left out, not stripped of it", arrange: func(f *fixture) {
			f.bgp("ad", communities("unheard-of"))
			f.service("web", "10.20.30.1")
		}, reasons: []string{"BGPAdvertisement ad bgp invalidCommunity", "Service web bgp invalidCommunity"}},
		{name: "well-known names need no Community", arrange: func(f *fixture) {
			f.bgp("ad", communities("no-export", "NO_PEER", "graceful-shutdown"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 65535:0,65535:65281,65535:65284 for web")},
		{name: "a Community's own alias goes before the well-known name, and may stand for one", arrange: func(f *fixture) {
			f.community("isp", "blackhole", "65000:666", "guard", "no-advertise")
			f.bgp("ad", communities("blackhole", "guard"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 65000:666,65535:65282 for web")},
		{name: "med and prepending", arrange: func(f *fixture) {
			f.bgp("ad", med(0), prepend(3))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 med 0 prepend 3 for web")},
		{name: "each peer its own", arrange: func(f *fixture) {
			f.bgp("one", med(5), peersNamed("tor1"))
			f.bgp("two", prepend(2), peersNamed("tor2"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1 med 5 for web", "10.20.30.1/32 to tor2 prepend 2 for web")},
		{name: "conflicting med announces nothing", arrange: func(f *fixture) {
			f.bgp("one", med(5), forApp("web"))
			f.bgp("two", forApp("web"))
			f.service("web", "10.20.30.1").Labels = map[string]string{"app": "web"}
		}, reasons: []string{"BGPAdvertisement one bgp conflictingAdvertisements", "BGPAdvertisement two bgp conflictingAdvertisements",
			"Service web bgp conflictingAdvertisements"}},
		{name: "of two Services that share an address, the older one's path counts", arrange: func(f *fixture) {
			f.bgp("one", prepend(1), forApp("one"))
			f.bgp("two", prepend(2), forApp("two"))
			f.service("z-older", "10.20.30.1").Labels = map[string]string{"app": "one"}
			f.service("a-younger", "10.20.30.1").Labels = map[string]string{"app": "two"}
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 prepend 1 for z-older"), reasons: []string{"Service a-younger bgp conflictingAdvertisements"}},
		{name: "an alias that another Community defines does not help", arrange: func(f *fixture) {
			f.community("isp", "no-export", "65535:65281")
			f.bgp("ad", communities("no-export", "mine"))
			f.service("web", "10.20.30.1")
		}, reasons: []string{"BGPAdvertisement ad bgp invalidCommunity", "Service web bgp invalidCommunity"}},
		{name: "a route is not sent without a community of one of the advertisements that make it", arrange: func(f *fixture) {
			f.bgp("guarded", communities("unheard-of"))
			f.bgp("open", communities("0:1"))
			f.service("web", "10.20.30.1")
		}, reasons: []string{"BGPAdvertisement guarded bgp invalidCommunity", "Service web bgp invalidCommunity"}},
		{name: "to peers that the advertisement does not reach it is", arrange: func(f *fixture) {
			f.bgp("guarded", communities("0:2", "unheard-of"), peersNamed("tor1"))
			f.bgp("open", communities("0:1"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor2 communities 0:1 for web"), reasons: []string{"BGPAdvertisement guarded bgp invalidCommunity"}},
		{name: "and from nodes that it does not select", arrange: func(f *fixture) {
			f.bgp("guarded", communities("unheard-of"), nodesNamed("node-a"))
			f.bgp("open")
			f.service("web", "10.20.30.1")
		}, want: map[string][]string{"node-b": {"10.20.30.1/32 to tor1,tor2 for web"}}, reasons: []string{"BGPAdvertisement guarded bgp invalidCommunity"}},
		{name: "and so are other prefixes of the address", arrange: func(f *fixture) {
			f.bgp("guarded", communities("unheard-of"), lengths(24, 64))
			f.bgp("open")
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 for web"), reasons: []string{"BGPAdvertisement guarded bgp invalidCommunity"}},
		{name: "a community that is not known keeps back the address for all that share it", arrange: func(f *fixture) {
			f.bgp("guarded", communities("unheard-of"), forApp("one"))
			f.bgp("open", forApp("two"))
			f.service("a", "10.20.30.1").Labels = map[string]string{"app": "one"}
			f.service("b", "10.20.30.1").Labels = map[string]string{"app": "two"}
		}, reasons: []string{"BGPAdvertisement guarded bgp invalidCommunity", "Service a bgp invalidCommunity", "Service b bgp invalidCommunity"}},
		{name: "aliases are what they stand for", arrange: func(f *fixture) {
			f.community("isp", "no-export", "65535:65281", "wide", "large:1:2:3")
			f.community("ours", "mine", "65000:1")
			f.bgp("ad", communities("mine", "wide", "no-export", "65000:1"))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 65000:1,65535:65281,large:1:2:3 for web")},
		{name: "what the rules should have refused defines nothing", arrange: func(f *fixture) {
			f.community("a", "mine", "65000:1", "bad", "1:65536")
			f.community("b", "mine", "65000:2")
			f.bgp("ad", communities("mine"))
			f.bgp("lost", communities("bad"), lengths(24, 64))
			f.service("web", "10.20.30.1")
		}, want: everywhere("10.20.30.1/32 to tor1,tor2 communities 65000:1 for web"),
			reasons: []string{"BGPAdvertisement lost bgp invalidCommunity", "Community a bgp invalidConfiguration", "Community b bgp invalidConfiguration"}},
		{name: "impossible lengths", arrange: func(f *fixture) {
			f.bgp("ad", lengths(33, 128))
			f.bgp("ad6", lengths(32, 129))
		}, reasons: []string{"BGPAdvertisement ad bgp invalidConfiguration", "BGPAdvertisement ad6 bgp invalidConfiguration"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a", "node-b")
			f.pool("p", "10.20.30.0/24", "2001:db8::/64")
			f.peer("tor1", "172.20.0.1")
			f.peer("tor2", "172.20.0.2")
			f.peer("six", "2001:db8:1::1")
			tt.arrange(f)

			out := Plan(f.Input)

			want := tt.want
			if want == nil {
				want = map[string][]string{}
			}
			diff(t, "routes", want, routes(out))
			diff(t, "reasons", tt.reasons, reasons(out))
		})
	}
}

func TestNodesWithEqualRoutesShareThem(t *testing.T) {
	f := newFixture("node-a", "node-b", "node-c")
	f.pool("p", "10.20.30.0/24")
	f.peer("tor1", "172.20.0.1")
	f.bgp("ad")
	f.service("everywhere", "10.20.30.1")
	f.localService("here", "10.20.30.2", "node-a")

	out := Plan(f.Input)

	a, b, c := out.Nodes["node-a"].Items[2], out.Nodes["node-b"].Items[2], out.Nodes["node-c"].Items[2]
	if a["bgp-route/10.20.30.1/32"] != b["bgp-route/10.20.30.1/32"] || a["bgp-session/tor1"] != b["bgp-session/tor1"] {
		t.Error("equal items are not one")
	}
	b["test"] = &ingotv1.Item{} // node-b and node-c differ in nothing
	if c["test"] == nil || a["test"] != nil {
		t.Error("node-b and node-c do not share one map, or node-a does")
	}
	ref := ServiceRefs(a["bgp-route/10.20.30.2/32"])
	if len(ref) != 1 || ref[0].HealthCheckNodePort != 30123 || ref[0].Address != "10.20.30.2" {
		t.Errorf("Service of policy Local is referred to as %v", ref)
	}
}
