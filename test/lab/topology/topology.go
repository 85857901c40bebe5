// Package topology is the lab's address plan: which places there are, how they are cabled, and which addresses,
// routes and sysctls each has. It is pure; package network builds what it says.
//
// Every node is on two switches, as many real ones are: mgmt, with the control plane and the default route, and lan,
// with the router and the client, where load balancer addresses live and where there is no default route. The client
// has a second cable to the router, over which its default routes go, so that addresses announced by BGP are reached
// through the router and layer-2 addresses directly.
package topology

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The networks that are switches. Any other network is a cable between two places.
const (
	Mgmt = "mgmt"
	LAN  = "lan"
)

// The places that are neither nodes nor pods.
const (
	Control = "control"
	Router  = "router"
	Client  = "client"
)

const (
	behind = "behind" // the cable between router and client

	// MaxNodes keeps the nodes' host numbers (10 + n) below the client's, 100.
	MaxNodes = 64
	// MaxAPIServers keeps the replicas' host numbers (1 + n) below the first node's, 11.
	MaxAPIServers = 7
)

// Interface is one network card of a place. On a switch its far end is the port PortName.
type Interface struct {
	Name      string
	Network   string
	Addresses []netip.Prefix
}

// Route is a static route of a place. A To of zero length is a default route.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Sysctl is a setting below /proc/sys, written before the place has interfaces.
type Sysctl struct {
	Path, Value string
}

// Place is one network namespace.
type Place struct {
	Name       string
	Interfaces []Interface
	Routes     []Route
	Sysctls    []Sysctl
}

// Topology is the whole lab.
type Topology struct {
	Places []Place

	nodes, apiservers int
	deployed          bool // Control is a node, and Pods have places of their own
}

// New plans a lab of so many nodes and replicas of the apiserver. The error says what is accepted.
func New(nodes, apiservers int) (*Topology, error) {
	if nodes < 1 || nodes > MaxNodes {
		return nil, fmt.Errorf("--nodes %d: from 1 to %d are possible", nodes, MaxNodes)
	}
	if apiservers < 1 || apiservers > MaxAPIServers {
		return nil, fmt.Errorf("--apiservers %d: from 1 to %d are possible", apiservers, MaxAPIServers)
	}
	t := &Topology{nodes: nodes, apiservers: apiservers}
	t.Places = append(t.Places, t.control(), t.router(), t.client())
	for i := 1; i <= nodes; i++ {
		t.Places = append(t.Places, t.node(i), pod(i))
	}
	return t, nil
}

// Deployed plans a lab of so many nodes in which kubelets run everything of ours: Control is one more node, and the
// places of Pods come and go with them.
func Deployed(nodes int) (*Topology, error) {
	t, err := New(nodes, 1)
	if err != nil {
		return nil, err
	}
	t.deployed = true
	t.Places = []Place{t.control(), t.router(), t.client()}
	for i := 1; i <= nodes; i++ {
		node := t.node(i)
		node.Interfaces = node.Interfaces[:2] // the cable to the one Pod of other labs
		t.Places = append(t.Places, node)
	}
	return t, nil
}

// NodeName is the name of node i, from 1.
func NodeName(i int) string { return "node" + strconv.Itoa(i) }

// PodName is the name of the place where node's pod runs.
func PodName(node string) string { return "pod-" + node }

// PortName is the name of place's port on a switch.
func PortName(network, place string) string { return network + "-" + place }

// Nodes are the names of the nodes, in order.
func (t *Topology) Nodes() []string {
	names := make([]string, t.nodes)
	for i := range names {
		names[i] = NodeName(i + 1)
	}
	return names
}

// Names are the names of all places.
func (t *Topology) Names() []string {
	names := make([]string, len(t.Places))
	for i, p := range t.Places {
		names[i] = p.Name
	}
	return names
}

// Place finds a place by its name. The error names the places there are.
func (t *Topology) Place(name string) (Place, error) {
	for _, p := range t.Places {
		if p.Name == name {
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("no place %q in this lab: it has %s", name, strings.Join(t.Names(), ", "))
}

// Addresses are place's addresses on a network, IPv4 first. An unknown place has none.
func (t *Topology) Addresses(place, network string) []netip.Addr {
	p, err := t.Place(place)
	if err != nil {
		return nil
	}
	return p.On(network)
}

// On gives the place's addresses on a network, in the order they were assigned.
func (p Place) On(network string) []netip.Addr {
	var addresses []netip.Addr
	for _, i := range p.Interfaces {
		if i.Network != network {
			continue
		}
		for _, a := range i.Addresses {
			addresses = append(addresses, a.Addr())
		}
	}
	return addresses
}

// Links are the switches that the place has a port on.
func (p Place) Links() []string {
	var links []string
	for _, i := range p.Interfaces {
		if i.Network == Mgmt || i.Network == LAN {
			links = append(links, i.Network)
		}
	}
	return links
}

// PodAddresses are the addresses of node's pod, IPv4 first.
func (t *Topology) PodAddresses(node string) []netip.Addr {
	return t.Addresses(PodName(node), podCable(node))
}

// PodCIDRs are the ranges that node i's pods have addresses from, IPv4 first. Control, where it is a node, is node 0.
func PodCIDRs(i int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i)),
		netip.MustParsePrefix(fmt.Sprintf("fd44:0:0:%d::/64", i)),
	}
}

// APIServer is the address of replica i of our apiserver, from 1.
func APIServer(i int) netip.Addr { return mgmtAddresses(1 + i)[0].Addr() }

func podCable(node string) string { return "pod/" + node }

// mgmtAddresses are those of host number h, which reads the same in both families: 172.30.0.11 and fd30::11.
func mgmtAddresses(h int) []netip.Prefix { return pair("172.30.0.%d/24", "fd30::%d/64", h) }

func lanAddresses(h int) []netip.Prefix { return pair("192.168.222.%d/24", "fd00:222::%d/64", h) }

func behindAddresses(h int) []netip.Prefix { return pair("10.78.0.%d/24", "fd78::%d/64", h) }

func pair(v4, v6 string, h int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf(v4, h)),
		netip.MustParsePrefix(fmt.Sprintf(v6, h)),
	}
}
