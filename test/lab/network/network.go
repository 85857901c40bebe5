// Package network builds a topology out of network namespaces, bridges and veth pairs, and cuts and heals its cables.
package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// Switch is the namespace that holds both switches, away from every place.
const Switch = "switch"

// Network is a built topology.
type Network struct {
	topology *topology.Topology
	sw       *netns.Namespace
	places   map[string]*netns.Namespace
}

// Build makes everything that the topology says. What it made before an error goes with the process's mount
// namespace.
func Build(t *topology.Topology) (*Network, error) {
	if err := os.MkdirAll(netns.Dir, 0o755); err != nil {
		return nil, err
	}
	n := &Network{topology: t, places: map[string]*netns.Namespace{}}
	var err error
	if n.sw, err = netns.Create(Switch); err != nil {
		return nil, err
	}
	if err := n.switches(); err != nil {
		return nil, err
	}
	for _, place := range t.Places {
		if n.places[place.Name], err = netns.Create(place.Name); err != nil {
			return nil, err
		}
		for _, s := range place.Sysctls {
			if err := n.places[place.Name].Set(s.Path, s.Value); err != nil {
				return nil, err
			}
		}
	}
	if err := n.cables(); err != nil {
		return nil, err
	}
	for _, place := range t.Places {
		for _, i := range place.Interfaces {
			if err := configure(n.places[place.Name], i); err != nil {
				return nil, err
			}
		}
	}
	// A route needs its interface up, with an address: last.
	for _, place := range t.Places {
		for _, r := range place.Routes {
			route := &netlink.Route{Dst: ipNet(r.To), Gw: r.Via.AsSlice()}
			if err := n.places[place.Name].Handle().RouteAdd(route); err != nil {
				return nil, fmt.Errorf("%s: route to %s via %s: %w", place.Name, r.To, r.Via, err)
			}
		}
	}
	return n, nil
}

// Place is the namespace of a place. The error names the places there are.
func (n *Network) Place(name string) (*netns.Namespace, error) {
	if _, err := n.topology.Place(name); err != nil {
		return nil, err
	}
	return n.places[name], nil
}

// switches makes a bridge for mgmt and one for lan. They learn addresses and nothing else: a switch that snoops
// multicast loses neighbour discovery until somebody queries.
func (n *Network) switches() error {
	snooping := false
	for _, name := range []string{topology.Mgmt, topology.LAN} {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snooping}
		if err := n.sw.Handle().LinkAdd(bridge); err != nil {
			return fmt.Errorf("switch %s: %w", name, err)
		}
		if err := n.sw.Handle().LinkSetUp(bridge); err != nil {
			return fmt.Errorf("switch %s: %w", name, err)
		}
	}
	// Where the host filters what its bridges forward, keep it out of ours.
	for _, s := range []string{"iptables", "ip6tables", "arptables"} {
		err := n.sw.Set("net/bridge/bridge-nf-call-"+s, "0")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cables connects every interface: to its switch, or to the one other interface of the same network.
func (n *Network) cables() error {
	type end struct{ place, name string }
	waiting := map[string]end{}
	for _, place := range n.topology.Places {
		for _, i := range place.Interfaces {
			if i.Network == topology.Mgmt || i.Network == topology.LAN {
				if err := n.plug(place.Name, i); err != nil {
					return err
				}
				continue
			}
			far, ok := waiting[i.Network]
			if !ok {
				waiting[i.Network] = end{place.Name, i.Name}
				continue
			}
			if err := n.veth(place.Name, i.Name, n.places[far.place], far.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// plug puts an interface on its switch.
func (n *Network) plug(place string, i topology.Interface) error {
	name := topology.PortName(i.Network, place)
	if err := n.veth(place, i.Name, n.sw, name); err != nil {
		return err
	}
	h := n.sw.Handle()
	port, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	bridge, err := h.LinkByName(i.Network)
	if err != nil {
		return fmt.Errorf("switch %s: %w", i.Network, err)
	}
	if err := h.LinkSetMaster(port, bridge); err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if err := h.LinkSetUp(port); err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	return nil
}

func (n *Network) veth(place, name string, far *netns.Namespace, farName string) error {
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name},
		PeerName:      farName,
		PeerNamespace: netlink.NsFd(far.FD()),
	}
	if err := n.places[place].Handle().LinkAdd(veth); err != nil {
		return fmt.Errorf("cable from %s %s to %s %s: %w", place, name, far.Name, farName, err)
	}
	return nil
}

// configure gives an interface its addresses and brings it up.
func configure(place *netns.Namespace, i topology.Interface) error {
	link, err := place.Handle().LinkByName(i.Name)
	if err != nil {
		return fmt.Errorf("%s %s: %w", place.Name, i.Name, err)
	}
	for _, a := range i.Addresses {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: ipNet(a).Mask}}
		if a.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD
		}
		if err := place.Handle().AddrAdd(link, address); err != nil {
			return fmt.Errorf("%s %s: address %s: %w", place.Name, i.Name, a, err)
		}
	}
	if err := place.Handle().LinkSetUp(link); err != nil {
		return fmt.Errorf("%s %s: %w", place.Name, i.Name, err)
	}
	return nil
}

// Cut pulls place's cable out of the switch of one network, or with network "" out of every switch it is on. It does
// so at the switch: on the other side the kernel would drop the place's IPv6 addresses and routes as well.
func (n *Network) Cut(place, network string) error {
	return n.ports(place, network, (*netlink.Handle).LinkSetDown)
}

// Heal puts the cable back.
func (n *Network) Heal(place, network string) error {
	return n.ports(place, network, (*netlink.Handle).LinkSetUp)
}

func (n *Network) ports(name, network string, set func(*netlink.Handle, netlink.Link) error) error {
	place, err := n.topology.Place(name)
	if err != nil {
		return err
	}
	links := place.Links()
	if network != "" {
		if !slices.Contains(links, network) {
			return fmt.Errorf("%s has no link %q: it has %s", name, network, strings.Join(links, ", "))
		}
		links = []string{network}
	}
	if len(links) == 0 {
		return fmt.Errorf("%s is on no switch: its cable cannot be cut", name)
	}
	for _, link := range links {
		port, err := n.sw.Handle().LinkByName(topology.PortName(link, name))
		if err != nil {
			return fmt.Errorf("%s's port on %s: %w", name, link, err)
		}
		if err := set(n.sw.Handle(), port); err != nil {
			return fmt.Errorf("%s's port on %s: %w", name, link, err)
		}
	}
	return nil
}

// IsCut says whether place's cable to a network is out.
func (n *Network) IsCut(place, network string) (bool, error) {
	port, err := n.sw.Handle().LinkByName(topology.PortName(network, place))
	if err != nil {
		return false, fmt.Errorf("%s's port on %s: %w", place, network, err)
	}
	return port.Attrs().Flags&net.FlagUp == 0, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
