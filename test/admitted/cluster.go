package admitted

import (
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/rules"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Cluster is an input of the planner: the configuration in a cluster of three Nodes whose speakers are connected, with
// the Secrets that peers name and a Service with endpoints at either end of every range of every pool.
func Cluster(config *metallb.Configuration) plan.Input {
	in := plan.Input{
		Config:         config,
		Nodes:          clusterNodes(),
		EndpointSlices: map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
		Secrets:        map[string]*corev1.Secret{},
		Facts:          map[string]plan.NodeFacts{},
		Decisions:      map[netip.Addr]plan.Decision{},
		Key:            []byte("admitted"),
	}
	for _, n := range in.Nodes {
		in.Facts[n.Name] = plan.NodeFacts{Connected: true}
	}
	for _, p := range config.BGPPeers {
		if name := p.Spec.PasswordSecret.Name; name != "" {
			in.Secrets[name] = &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name},
				Type:       corev1.SecretTypeBasicAuth,
				Data:       map[string][]byte{corev1.BasicAuthPasswordKey: []byte("secret")},
			}
		}
	}
	var texts []string
	for _, p := range config.IPAddressPools {
		texts = append(texts, p.Spec.Addresses...)
	}
	for _, p := range config.AddressPools {
		texts = append(texts, p.Spec.Addresses...)
	}
	for _, text := range texts {
		r, err := addrrange.Parse(text)
		if err != nil {
			continue // which the plan says, and the tests look for
		}
		for _, a := range []netip.Addr{r.First(), r.Last()} {
			addService(&in, a)
		}
	}
	return in
}

func clusterNodes() []*corev1.Node {
	var nodes []*corev1.Node
	for name, rack := range map[string]string{"node-1": "a", "node-2": "a", "node-3": "b"} {
		nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, "rack": rack, "zone": "a",
		}}})
	}
	return nodes
}

// addService puts a Service with an endpoint on every Node at the address.
func addService(in *plan.Input, a netip.Addr) {
	name := types.NamespacedName{Namespace: "default", Name: fmt.Sprint("s-", len(in.Services))}
	in.Services = append(in.Services, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: name.Namespace, Name: name.Name, Labels: map[string]string{"app": "web"},
			CreationTimestamp: metav1.NewTime(time.Unix(int64(len(in.Services)), 0)),
		},
		Spec:   corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: a.String()}}}},
	})
	slice := &discoveryv1.EndpointSlice{}
	for _, n := range in.Nodes {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.244.0.1"}, NodeName: &n.Name})
	}
	in.EndpointSlices[name] = []*discoveryv1.EndpointSlice{slice}
}

// Items are all that a plan gives to its nodes, each once.
func Items(out plan.Output) []*ingotv1.Item {
	var items []*ingotv1.Item
	seen := map[*ingotv1.Item]bool{}
	for _, n := range out.Nodes {
		for _, lane := range n.Items {
			for _, item := range lane {
				if !seen[item] {
					seen[item] = true
					items = append(items, item)
				}
			}
		}
	}
	return items
}

// Unusable is what the plan says of a configuration that the rules should have refused: it does not parse, or it
// contradicts itself. What waits for an object that does not exist is right.
func Unusable(config *metallb.Configuration, out plan.Output) []plan.Withheld {
	references := (*rules.References)(nil).Next(config)
	var found []plan.Withheld
	for _, w := range out.Withheld {
		switch w.Reason {
		case plan.ReasonInvalidConfiguration, plan.ReasonInvalidPassword, plan.ReasonConflictingPeers,
			plan.ReasonInvalidIP, plan.ReasonIPNotAllowed:
			found = append(found, w)
		case plan.ReasonInvalidCommunity:
			if w.Kind != plan.KindService && resolved(config, references, w) { // a Service is only told of it
				found = append(found, w)
			}
		}
	}
	return found
}

// resolved says whether every reference of the object that something is withheld of resolves.
func resolved(config *metallb.Configuration, references *rules.References, w plan.Withheld) bool {
	for _, a := range config.BGPAdvertisements {
		if w.Kind == plan.KindBGPAdvertisement && a.Name == w.Name.Name && len(references.Unresolved(a, nil)) > 0 {
			return false
		}
	}
	for _, p := range config.AddressPools {
		if w.Kind == plan.KindAddressPool && p.Name == w.Name.Name && len(references.Unresolved(p, nil)) > 0 {
			return false
		}
	}
	return true
}
