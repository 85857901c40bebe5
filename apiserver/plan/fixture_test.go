package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/community"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// fixture builds an Input in the words of the tests.
type fixture struct{ Input }

// newFixture has the given nodes, all with connected speakers, and nothing else.
func newFixture(nodes ...string) *fixture {
	f := &fixture{Input{
		Config:         &metallb.Configuration{},
		EndpointSlices: map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
		Secrets:        map[string]*corev1.Secret{},
		Facts:          map[string]NodeFacts{},
		Decisions:      map[netip.Addr]Decision{},
		Key:            []byte("test key"),
	}}
	for _, n := range nodes {
		f.node(n)
	}
	return f
}

func (f *fixture) node(name string, change ...func(*corev1.Node)) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
	for _, c := range change {
		c(n)
	}
	f.Nodes = append(f.Nodes, n)
	f.Facts[name] = NodeFacts{Connected: true}
}

func (f *fixture) pool(name string, addresses ...string) *metallb.IPAddressPool {
	p := &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metallb.IPAddressPoolSpec{Addresses: addresses}}
	f.Config.IPAddressPools = append(f.Config.IPAddressPools, p)
	return p
}

func (f *fixture) l2(name string, change ...func(*metallb.L2AdvertisementSpec)) {
	a := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(&a.Spec)
	}
	f.Config.L2Advertisements = append(f.Config.L2Advertisements, a)
}

func (f *fixture) bgp(name string, change ...func(*metallb.BGPAdvertisementSpec)) {
	a := &metallb.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(&a.Spec)
	}
	f.Config.BGPAdvertisements = append(f.Config.BGPAdvertisements, a)
}

func (f *fixture) peer(name, address string, change ...func(*metallb.BGPPeerSpec)) {
	p := &metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metallb.BGPPeerSpec{MyASN: 64512, ASN: 64513, Address: address, Port: 179}}
	for _, c := range change {
		c(&p.Spec)
	}
	f.Config.BGPPeers = append(f.Config.BGPPeers, p)
}

// community defines aliases, given as name, value, name, value.
func (f *fixture) community(name string, definitions ...string) {
	c := &metallb.Community{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i := 0; i < len(definitions); i += 2 {
		c.Spec.Communities = append(c.Spec.Communities, metallb.CommunityAlias{Name: definitions[i], Value: definitions[i+1]})
	}
	f.Config.Communities = append(f.Config.Communities, c)
}

// service is one of policy Cluster in namespace default with an endpoint that is on no particular node.
func (f *fixture) service(name string, ips ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(len(f.Services)), 0))},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
	}
	for _, ip := range ips {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	f.Services = append(f.Services, s)
	f.endpoints(name, "elsewhere")
	return s
}

// localService is one of policy Local with endpoints on the given nodes.
func (f *fixture) localService(name, ip string, nodes ...string) *corev1.Service {
	s := f.service(name, ip)
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	s.Spec.HealthCheckNodePort = 30123
	f.endpoints(name, nodes...)
	return s
}

// endpoints puts one usable endpoint of a Service on each of the nodes, and none elsewhere.
func (f *fixture) endpoints(service string, nodes ...string) {
	slice := &discoveryv1.EndpointSlice{}
	for _, n := range nodes {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.244.0.1"}, NodeName: &n})
	}
	f.EndpointSlices[types.NamespacedName{Namespace: "default", Name: service}] = []*discoveryv1.EndpointSlice{slice}
}

// away cuts a node's stream; lost says for how long.
func (f *fixture) away(node string, lost bool) {
	facts := f.Facts[node]
	facts.Connected, facts.Lost = false, lost
	f.Facts[node] = facts
}

// holds makes a node say what it owns.
func (f *fixture) holds(node, addr string, term uint64) {
	facts := f.Facts[node]
	holds := map[netip.Addr]uint64{netip.MustParseAddr(addr): term}
	for a, t := range facts.Holds {
		if _, ok := holds[a]; !ok {
			holds[a] = t
		}
	}
	facts.Holds = holds
	f.Facts[node] = facts
}

// waits makes a node say that it owns an address and does not answer for it yet.
func (f *fixture) waits(node, addr string, term uint64) {
	f.holds(node, addr, term)
	facts := f.Facts[node]
	facts.Waits = map[netip.Addr]bool{netip.MustParseAddr(addr): true}
	f.Facts[node] = facts
}

// settle lets every connected node hold exactly what the plan gives it, stores the decisions, and plans again until
// nothing changes, as dispatch does.
func (f *fixture) settle(t testing.TB) Output {
	t.Helper()
	for range 10 {
		out := Plan(f.Input)
		same := len(out.Decisions) == len(f.Decisions)
		for a, d := range out.Decisions {
			same = same && f.Decisions[a] == d
		}
		f.Decisions = out.Decisions
		for name, facts := range f.Facts {
			if !facts.Connected {
				continue
			}
			holds := map[netip.Addr]uint64{}
			stands := map[netip.Addr]bool{}
			for _, item := range out.Nodes[name].Items[ingotv1.Lane_LANE_LAYER2] {
				switch content := item.GetLayer2Address(); content.GetRole() {
				case ingotv1.Layer2Address_ROLE_OWNER:
					holds[netip.MustParseAddr(content.Address)] = content.Term
				case ingotv1.Layer2Address_ROLE_STANDBY:
					stands[netip.MustParseAddr(content.Address)] = true
				}
			}
			same = same && maps.Equal(holds, facts.Holds) && maps.Equal(stands, facts.Stands)
			facts.Holds, facts.Stands, facts.Waits, facts.Vacant = holds, stands, nil, nil
			f.Facts[name] = facts
		}
		if same {
			return out
		}
	}
	t.Fatal("plans do not settle")
	return Output{}
}

// layer2 is who has an owner's item for each address: "10.0.0.1": "node-a".
func layer2(t testing.TB, out Output) map[string]string {
	t.Helper()
	owners := map[string]string{}
	for name, n := range out.Nodes {
		for id, item := range n.Items[ingotv1.Lane_LANE_LAYER2] {
			content := item.GetLayer2Address()
			if content == nil || content.Role == ingotv1.Layer2Address_ROLE_STANDBY {
				if item.Digest == "" || content != nil && content.Owner == name {
					t.Errorf("node %s has %v", name, item)
				}
				continue
			}
			if content.Role != ingotv1.Layer2Address_ROLE_OWNER || content.Owner != name || id != "layer2/"+content.Address || item.Digest == "" {
				t.Errorf("node %s has %v", name, item)
			}
			if other, ok := owners[content.Address]; ok {
				t.Errorf("both %s and %s own %s", other, name, content.Address)
			}
			owners[content.Address] = name
			d := out.Decisions[netip.MustParseAddr(content.Address)]
			if d.Owner != name || d.Term != content.Term {
				t.Errorf("%s on %s has term %d, the decision is %v", content.Address, name, content.Term, d)
			}
		}
	}
	return owners
}

// routes is what each node advertises, one line a route and set of peers:
// "10.0.0.1/32 to tor1,tor2 pref 100 med 5 prepend 2 communities 1:2,large:1:2:3 for default/web".
func routes(out Output) map[string][]string {
	byNode := map[string][]string{}
	for name, n := range out.Nodes {
		for _, item := range n.Items[ingotv1.Lane_LANE_ROUTING] {
			r := item.GetBgpRoute()
			if r == nil {
				continue
			}
			for _, ad := range r.Advertisements {
				byNode[name] = append(byNode[name], routeLine(r, ad))
			}
		}
		slices.Sort(byNode[name])
	}
	return byNode
}

func routeLine(r *ingotv1.BgpRoute, ad *ingotv1.BgpAdvertisement) string {
	line := fmt.Sprintf("%s to %s", r.Prefix, strings.Join(ad.Peers, ","))
	if ad.LocalPref != 0 {
		line += fmt.Sprintf(" pref %d", ad.LocalPref)
	}
	if ad.Med != nil {
		line += fmt.Sprintf(" med %d", ad.GetMed())
	}
	if ad.AsPathPrepend != 0 {
		line += fmt.Sprintf(" prepend %d", ad.AsPathPrepend)
	}
	var communities []string
	for _, c := range ad.Communities {
		communities = append(communities, community.Value{Standard: c}.String())
	}
	for _, c := range ad.LargeCommunities {
		communities = append(communities, community.Value{IsLarge: true, Large: community.Large{Global: c.GlobalAdministrator, Local1: c.LocalData1, Local2: c.LocalData2}}.String())
	}
	if len(communities) > 0 {
		line += " communities " + strings.Join(communities, ",")
	}
	var services []string
	for _, s := range r.Services {
		services = append(services, s.Name)
	}
	return line + " for " + strings.Join(services, ",")
}

// reasons is what is withheld, as "Service web layer2 noEndpoints".
func reasons(out Output) []string {
	var list []string
	for _, w := range out.Withheld {
		list = append(list, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", w.Kind, w.Name.Name, w.Protocol, w.Reason)), " "))
	}
	return list
}

func sessions(out Output, node string) map[string]*ingotv1.BgpSession {
	byPeer := map[string]*ingotv1.BgpSession{}
	for _, item := range out.Nodes[node].Items[ingotv1.Lane_LANE_ROUTING] {
		if s := item.GetBgpSession(); s != nil {
			byPeer[s.Peer] = s
		}
	}
	return byPeer
}

func selector(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func onNodes(names ...string) []metav1.LabelSelector {
	return []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/hostname", Operator: metav1.LabelSelectorOpIn, Values: names,
	}}}}
}

// byOwner compares decisions by owner and term alone.
var byOwner = cmp.Transformer("byOwner", func(d Decision) string { return fmt.Sprint(d.Owner, " ", d.Term) })

func diff(t testing.TB, what string, want, got any, opts ...cmp.Option) {
	t.Helper()
	if d := cmp.Diff(want, got, append(opts, byOwner)...); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
