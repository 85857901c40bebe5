package conditions

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "metallb-system", Name: name, Generation: 7}
}

func pool(name string, addresses ...string) *metallb.IPAddressPool {
	return &metallb.IPAddressPool{ObjectMeta: named(name), Spec: metallb.IPAddressPoolSpec{Addresses: addresses}}
}

func l2(name string, pools ...string) *metallb.L2Advertisement {
	return &metallb.L2Advertisement{ObjectMeta: named(name), Spec: metallb.L2AdvertisementSpec{IPAddressPools: pools}}
}

func bgp(name string, change func(*metallb.BGPAdvertisementSpec)) *metallb.BGPAdvertisement {
	a := &metallb.BGPAdvertisement{ObjectMeta: named(name)}
	change(&a.Spec)
	return a
}

func peer(name string, change func(*metallb.BGPPeerSpec)) *metallb.BGPPeer {
	p := &metallb.BGPPeer{ObjectMeta: named(name), Spec: metallb.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "192.0.2.1", Port: 179}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func withheld(kind plan.Kind, name string, reason plan.Reason, message string) plan.Withheld {
	return plan.Withheld{Kind: kind, Name: types.NamespacedName{Namespace: "metallb-system", Name: name}, Reason: reason, Message: message}
}

func noSecrets(string) (*corev1.Secret, bool) { return nil, true }

func selecting(key, value string) []metav1.LabelSelector {
	return []metav1.LabelSelector{{MatchLabels: map[string]string{key: value}}}
}

// said shows what is not as usual: "Ready=False CoversNodeAddress: …".
func said(verdicts []Verdict) map[string][]string {
	all := map[string][]string{}
	for _, v := range verdicts {
		key := v.Resource + "/" + v.Object.GetName()
		all[key] = nil
		for _, c := range v.Conditions {
			if c.ObservedGeneration != v.Object.GetGeneration() {
				all[key] = append(all[key], fmt.Sprint("generation ", c.ObservedGeneration))
			}
			if c.Reason != InEffect && c.Reason != Resolved {
				all[key] = append(all[key], fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
			} else if c.Status != metav1.ConditionTrue {
				all[key] = append(all[key], "not True")
			}
		}
	}
	return all
}

func TestVerdicts(t *testing.T) {
	nodes := []rules.Node{
		{Name: "n1", Labels: map[string]string{"rack": "a"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}},
		{Name: "n2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5")}},
	}
	unresolved := func(reason, message string) []string {
		return []string{"Ready=False ReferencesNotResolved: " + message, "ReferencesResolved=False " + reason + ": " + message}
	}
	tests := []struct {
		name string
		in   Input
		want map[string][]string
	}{
		{"ordinary objects are ready before any node or session is there", Input{Config: &metallb.Configuration{
			IPAddressPools:   []*metallb.IPAddressPool{pool("web", "10.0.0.0/24")},
			AddressPools:     []*metallb.AddressPool{{ObjectMeta: named("old")}},
			L2Advertisements: []*metallb.L2Advertisement{l2("all")},
			BGPAdvertisements: []*metallb.BGPAdvertisement{bgp("web", func(s *metallb.BGPAdvertisementSpec) {
				s.Peers, s.Communities = []string{"tor"}, []string{"mine", "1:2"}
			})},
			BGPPeers:       []*metallb.BGPPeer{peer("tor", func(s *metallb.BGPPeerSpec) { s.BFDProfile, s.NodeSelectors = "fast", selecting("rack", "z") })},
			BFDProfiles:    []*metallb.BFDProfile{{ObjectMeta: named("fast")}},
			Communities:    []*metallb.Community{{ObjectMeta: named("isp"), Spec: metallb.CommunitySpec{Communities: []metallb.CommunityAlias{{Name: "mine", Value: "1:1"}}}}},
			IPReservations: []*metallb.IPReservation{{ObjectMeta: named("kept")}},
		}}, map[string][]string{
			"ipaddresspools/web": nil, "addresspools/old": nil, "l2advertisements/all": nil, "bgpadvertisements/web": nil,
			"bgppeers/tor": nil, "bfdprofiles/fast": nil, "communities/isp": nil, "ipreservations/kept": nil,
		}},
		{"references to nothing", Input{Secrets: noSecrets, Config: &metallb.Configuration{
			L2Advertisements: []*metallb.L2Advertisement{l2("a", "web")},
			BGPAdvertisements: []*metallb.BGPAdvertisement{bgp("b", func(s *metallb.BGPAdvertisementSpec) {
				s.Peers, s.Communities = []string{"spine"}, []string{"mine"}
			})},
			BGPPeers: []*metallb.BGPPeer{peer("tor", func(s *metallb.BGPPeerSpec) { s.BFDProfile, s.PasswordSecret.Name = "fast", "bgp" })},
		}}, map[string][]string{
			"l2advertisements/a": unresolved("PoolNotFound", `spec.ipAddressPools[0]: IPAddressPool "web" does not exist`),
			"bgpadvertisements/b": append([]string{}, unresolved("PeerNotFound",
				`spec.peers[0]: BGPPeer "spine" does not exist; spec.communities[0]: no Community defines the alias "mine"`)...),
			"bgppeers/tor": unresolved("SecretNotFound",
				`spec.passwordSecret.name: Secret "bgp" does not exist in the system namespace; spec.bfdProfile: BFDProfile "fast" does not exist`),
		}},
		{"what selects nothing is in effect, and says so", Input{Nodes: nodes, Config: &metallb.Configuration{
			IPAddressPools: []*metallb.IPAddressPool{pool("web", "10.0.1.0/24")},
			L2Advertisements: []*metallb.L2Advertisement{{ObjectMeta: named("pools"),
				Spec: metallb.L2AdvertisementSpec{IPAddressPoolSelectors: selecting("a", "b")}}},
			BGPAdvertisements: []*metallb.BGPAdvertisement{bgp("nodes", func(s *metallb.BGPAdvertisementSpec) {
				s.IPAddressPoolSelectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpExists}}}}
			})},
			BGPPeers: []*metallb.BGPPeer{peer("tor", func(s *metallb.BGPPeerSpec) { s.NodeSelectors = selecting("rack", "z") })},
		}}, map[string][]string{
			"ipaddresspools/web":      {"Ready=True NotAdvertised: Services get addresses of the pool, which nobody announces: no L2Advertisement or BGPAdvertisement selects it"},
			"l2advertisements/pools":  {"Ready=True NoPoolSelected: nothing is announced: it selects no IPAddressPool"},
			"bgpadvertisements/nodes": {"Ready=True NoPoolSelected: nothing is announced: it selects no IPAddressPool"},
			"bgppeers/tor":            {"Ready=True NoNodeSelected: there is no session: spec.nodeSelectors select no Node"},
		}},
		{"a pool with addresses of Nodes", Input{Nodes: nodes, Config: &metallb.Configuration{
			IPAddressPools:   []*metallb.IPAddressPool{pool("web", "10.1.0.0/24", "10.0.0.0/28"), pool("other", "10.2.0.0/24")},
			L2Advertisements: []*metallb.L2Advertisement{l2("all")},
		}}, map[string][]string{
			"ipaddresspools/other": nil, "l2advertisements/all": nil,
			"ipaddresspools/web": {`Ready=False CoversNodeAddress: spec.addresses[1]: "10.0.0.0/28" covers 10.0.0.5, the address of Node n2; ` +
				`spec.addresses[1]: "10.0.0.0/28" covers 10.0.0.9, the address of Node n1`},
		}},
		{"what the planner holds back", Input{
			Config: &metallb.Configuration{
				IPAddressPools:   []*metallb.IPAddressPool{pool("bad", "x")},
				L2Advertisements: []*metallb.L2Advertisement{l2("all")},
				BGPPeers: []*metallb.BGPPeer{peer("older", nil), peer("younger", func(s *metallb.BGPPeerSpec) { s.BFDProfile = "fast" }),
					peer("refused", nil)},
				BGPAdvertisements: []*metallb.BGPAdvertisement{bgp("west", func(*metallb.BGPAdvertisementSpec) {}), bgp("east", func(*metallb.BGPAdvertisementSpec) {})},
			},
			Withheld: []plan.Withheld{
				withheld(plan.KindService, "younger", plan.ReasonConflictingPeers, "not this"),
				withheld(plan.KindBGPPeer, "younger", plan.ReasonConflictingPeers, "held down on n1"),
				withheld(plan.KindBGPPeer, "younger", plan.ReasonConflictingPeers, "held down on n2"),
				withheld(plan.KindIPAddressPool, "bad", plan.ReasonInvalidConfiguration, "nonsense"),
				withheld(plan.KindBGPAdvertisement, "west", plan.ReasonConflictingAdvertisements, "not what east says"),
			},
			Refused: map[string][]Refusal{"refused": {{"n1", "no such VRF"}}},
		}, map[string][]string{
			"ipaddresspools/bad": {"Ready=False InvalidConfiguration: nonsense"}, "l2advertisements/all": nil, "bgppeers/older": nil,
			"bgppeers/younger": {"Ready=False ConflictingPeers: held down on n1; held down on n2",
				`ReferencesResolved=False ProfileNotFound: spec.bfdProfile: BFDProfile "fast" does not exist`},
			"bgppeers/refused":       {"Ready=False RefusedByNode: node n1: no such VRF"},
			"bgpadvertisements/west": {"Ready=False ConflictingAdvertisements: not what east says"}, "bgpadvertisements/east": nil,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e Evaluator
			if diff := cmp.Diff(tt.want, said(e.Evaluate(tt.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("%s%03d", strings.Repeat("n", 240), i))
	}
	var e Evaluator
	v := e.Evaluate(Input{Config: &metallb.Configuration{L2Advertisements: []*metallb.L2Advertisement{l2("a", names...)}}})
	message := v[0].Conditions[1].Message
	if len(message) > longest+len("…") || !strings.HasSuffix(message, "and more") || strings.Count(message, "does not exist") != mostNamed {
		t.Errorf("%d bytes: %s", len(message), message)
	}
}

func TestResourcesAreThoseOfTheVerdicts(t *testing.T) {
	c := &metallb.Configuration{
		IPAddressPools: []*metallb.IPAddressPool{pool("x")}, AddressPools: []*metallb.AddressPool{{}}, L2Advertisements: []*metallb.L2Advertisement{l2("x")},
		BGPAdvertisements: []*metallb.BGPAdvertisement{{}}, BGPPeers: []*metallb.BGPPeer{peer("x", nil)}, BFDProfiles: []*metallb.BFDProfile{{}},
		Communities: []*metallb.Community{{}}, IPReservations: []*metallb.IPReservation{{}},
	}
	var e Evaluator
	var got []string
	for _, v := range e.Evaluate(Input{Config: c}) {
		got = append(got, v.Resource)
	}
	if diff := cmp.Diff(Resources, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMergeKeepsTheTimeOfTheLastTransition(t *testing.T) {
	before, now := metav1.NewTime(time.Unix(100, 0)), time.Unix(200, 500)
	stored := []metav1.Condition{
		{Type: "Other", Status: metav1.ConditionTrue, Reason: "Mine", LastTransitionTime: before},
		{Type: Ready, Status: metav1.ConditionFalse, Reason: "A", Message: "a", ObservedGeneration: 1, LastTransitionTime: before},
	}
	want := func(status metav1.ConditionStatus, reason string, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: Ready, Status: status, Reason: reason, Message: "a", ObservedGeneration: generation}}
	}
	tests := []struct {
		name    string
		want    []metav1.Condition
		at      metav1.Time
		changed bool
	}{
		{"as it was", want(metav1.ConditionFalse, "A", 1), before, false},
		{"another reason", want(metav1.ConditionFalse, "B", 1), before, true},
		{"another generation", want(metav1.ConditionFalse, "A", 2), before, true},
		{"another status", want(metav1.ConditionTrue, "A", 1), metav1.NewTime(time.Unix(200, 0)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			merged, changed := Merge(stored, tt.want, now)
			if changed != tt.changed || len(merged) != 1 || !merged[0].LastTransitionTime.Equal(&tt.at) {
				t.Errorf("changed %t, %+v", changed, merged)
			}
		})
	}
}
