package network

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// Pods is what a network plugin does for the Pods of one node: each has a namespace, a cable to the node and an address of
// each family, and nothing on the node is shared by two of them.
type Pods struct {
	node   *netns.Namespace
	ranges []netip.Prefix

	mu    sync.Mutex
	taken map[int]bool // host numbers, from 2
	last  int
	pods  map[string]pod
}

type pod struct {
	namespace *netns.Namespace
	host      int
}

// Pods returns the network plugin of a node, whose Pods have addresses from ranges, IPv4 first.
func (n *Network) Pods(node string, ranges []netip.Prefix) (*Pods, error) {
	place, err := n.Place(node)
	if err != nil {
		return nil, err
	}
	return &Pods{node: place, ranges: ranges, taken: map[int]bool{}, last: 1, pods: map[string]pod{}}, nil
}

// Attach makes the namespace of a Pod, which has that name, unless it is there, and returns it with the Pod's addresses.
func (p *Pods) Attach(name string) (*netns.Namespace, []netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.pods[name]; ok {
		return known.namespace, p.addresses(known.host), nil
	}
	host, err := p.free()
	if err != nil {
		return nil, nil, err
	}
	namespace, err := netns.Create(name)
	if err != nil {
		return nil, nil, err
	}
	if err := p.connect(namespace, host); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("network of Pod %s: %w", name, err), namespace.Delete())
	}
	p.pods[name] = pod{namespace, host}
	p.taken[host], p.last = true, host
	return namespace, p.addresses(host), nil
}

// Detach takes the namespace of a Pod away, and gives its addresses back. One that is not there is none to complain of.
func (p *Pods) Detach(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.pods[name]
	if !ok {
		return nil
	}
	delete(p.pods, name)
	delete(p.taken, known.host)
	// The cable goes at once, so that the next Pod may have the address, whatever still holds the namespace.
	link, err := known.namespace.Handle().LinkByName("eth0")
	if err == nil {
		err = known.namespace.Handle().LinkDel(link)
	}
	return errors.Join(err, known.namespace.Delete())
}

// free is a host number that no Pod has: the next one, so that an address is not used again at once.
func (p *Pods) free() (int, error) {
	const size = 250
	for i := range size {
		host := 2 + (p.last-1+i)%size
		if !p.taken[host] {
			return host, nil
		}
	}
	return 0, fmt.Errorf("no address is left in %s", p.ranges[0])
}

func (p *Pods) addresses(host int) []netip.Addr {
	return []netip.Addr{offset(p.ranges[0].Addr(), host), offset(p.ranges[1].Addr(), host)}
}

// offset is the address so many after a network's first one, which ends in a zero byte.
func offset(network netip.Addr, by int) netip.Addr {
	bytes := network.AsSlice()
	bytes[len(bytes)-1] = byte(by)
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// connect lays a cable between a Pod and the node. The node is the Pod's gateway, by an address that it has on every such
// cable, and has a route to the Pod alone.
func (p *Pods) connect(namespace *netns.Namespace, host int) error {
	outside := fmt.Sprintf("veth%d", host)
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: outside, PeerNamespace: netlink.NsFd(p.node.FD())}
	if err := namespace.Handle().LinkAdd(cable); err != nil {
		return fmt.Errorf("cable: %w", err)
	}
	if err := namespace.Set("net/ipv6/conf/all/accept_dad", "0"); err != nil {
		return err
	}
	var own, gateway []netip.Prefix
	for i, r := range p.ranges {
		bits := r.Addr().BitLen()
		own = append(own, netip.PrefixFrom(p.addresses(host)[i], bits))
		gateway = append(gateway, netip.PrefixFrom(offset(r.Addr(), 1), bits))
	}
	if err := configure(namespace, topology.Interface{Name: "eth0", Addresses: own}); err != nil {
		return err
	}
	if err := configure(p.node, topology.Interface{Name: outside, Addresses: gateway}); err != nil {
		return err
	}
	for i := range p.ranges {
		if err := route(namespace, "eth0", gateway[i], netip.Addr{}); err != nil {
			return err
		}
		if err := route(namespace, "eth0", netip.PrefixFrom(gateway[i].Addr(), 0), gateway[i].Addr()); err != nil {
			return err
		}
		if err := route(p.node, outside, own[i], netip.Addr{}); err != nil {
			return err
		}
	}
	return nil
}

// route leads to a range over an interface, through a neighbour unless via is zero.
func route(in *netns.Namespace, interfaceName string, to netip.Prefix, via netip.Addr) error {
	link, err := in.Handle().LinkByName(interfaceName)
	if err != nil {
		return fmt.Errorf("%s %s: %w", in.Name, interfaceName, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to)}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	} else {
		r.Scope = unix.RT_SCOPE_LINK
	}
	if err := in.Handle().RouteReplace(r); err != nil {
		return fmt.Errorf("%s: route to %s: %w", in.Name, to, err)
	}
	return nil
}
