package topology

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustNew(t *testing.T, nodes, apiservers int) *Topology {
	t.Helper()
	topology, err := New(nodes, apiservers)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

func texts(addresses []netip.Addr) []string {
	var s []string
	for _, a := range addresses {
		s = append(s, a.String())
	}
	return s
}

func TestAddressPlan(t *testing.T) {
	topology := mustNew(t, 3, 2)
	for _, c := range []struct {
		place, network string
		want           []string
	}{
		{Control, Mgmt, []string{"172.30.0.2", "fd30::2", "172.30.0.3", "fd30::3"}},
		{Router, LAN, []string{"192.168.222.1", "fd00:222::1"}},
		{Router, Mgmt, []string{"172.30.0.1", "fd30::1"}},
		{Client, LAN, []string{"192.168.222.100", "fd00:222::100"}},
		{Client, behind, []string{"10.78.0.2", "fd78::2"}},
		{"node1", Mgmt, []string{"172.30.0.11", "fd30::11"}},
		{"node3", LAN, []string{"192.168.222.13", "fd00:222::13"}},
		{"node4", LAN, nil},
	} {
		if diff := cmp.Diff(c.want, texts(topology.Addresses(c.place, c.network))); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", c.place, c.network, diff)
		}
	}
	if diff := cmp.Diff([]string{"10.244.2.2", "fd44:0:0:2::2"}, texts(topology.PodAddresses("node2"))); diff != "" {
		t.Errorf("the pod of node2 (-want +got):\n%s", diff)
	}
}

// The largest lab must still have every address once, and every cable two ends.
func TestNoAddressTwiceAndNoLooseCable(t *testing.T) {
	topology := mustNew(t, MaxNodes, MaxAPIServers)
	owner := map[netip.Addr]string{}
	ends := map[string]int{}
	ports := map[string]bool{}
	for _, p := range topology.Places {
		for _, i := range p.Interfaces {
			ends[i.Network]++
			if port := PortName(i.Network, p.Name); (i.Network == Mgmt || i.Network == LAN) && (len(port) > 15 || ports[port]) {
				t.Errorf("port %q is longer than an interface name may be, or there twice", port)
			}
			ports[PortName(i.Network, p.Name)] = true
			for _, a := range i.Addresses {
				if other, taken := owner[a.Addr()]; taken {
					t.Errorf("%s and %s both have %s", other, p.Name, a.Addr())
				}
				owner[a.Addr()] = p.Name
			}
		}
	}
	for network, n := range ends {
		if network != Mgmt && network != LAN && n != 2 {
			t.Errorf("cable %s has %d ends", network, n)
		}
	}
}

// Every gateway must be a neighbour, and nodes must have no default route on lan.
func TestRoutesGoOverNeighbours(t *testing.T) {
	topology := mustNew(t, 3, 1)
	for _, p := range topology.Places {
		for _, r := range p.Routes {
			network := ""
			for _, i := range p.Interfaces {
				for _, a := range i.Addresses {
					if a.Contains(r.Via) && a.Addr() != r.Via {
						network = i.Network
					}
				}
			}
			if network == "" {
				t.Errorf("%s: the route to %s goes over %s, which is on no network of it", p.Name, r.To, r.Via)
			}
			if r.To.Bits() == 0 && network == LAN {
				t.Errorf("%s has a default route on the lan", p.Name)
			}
		}
	}
}

func TestSizesOutsideTheAddressPlanAreRefused(t *testing.T) {
	for _, c := range []struct{ nodes, apiservers int }{{0, 1}, {MaxNodes + 1, 1}, {3, 0}, {3, MaxAPIServers + 1}} {
		if topology, err := New(c.nodes, c.apiservers); err == nil {
			t.Errorf("New(%d, %d) = %v, want an error", c.nodes, c.apiservers, topology.Names())
		}
	}
}
