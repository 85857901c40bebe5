package l2

import (
	"fmt"
	"strings"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// bothAnswer waits until an address of each family is answered with the hardware address.
func bothAnswer(t *testing.T, l lan, want string) {
	t.Helper()
	eventuallyAnswered(t, l.client, "eth0", want)
	eventuallySolicited(t, l.client, "eth0", want)
}

// TestANewHardwareAddressIsAnnounced: hosts that know the old one hear of the new one before they ask.
func TestANewHardwareAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	const changed = "02:00:00:00:00:77"
	l := newLAN(t, 1)
	node := l.nodes[0]
	before := mac(t, node, "eth0")
	p := node.Start(t)
	p.Apply(t, owner(1), owner6(1))
	bothAnswer(t, l, before)
	// The client knows both, and will not ask again by itself.
	l.client.Run(t, "ip", "neigh", "replace", virtual, "dev", "eth0", "lladdr", before, "nud", "reachable")
	l.client.Run(t, "ip", "-6", "neigh", "replace", virtual6, "dev", "eth0", "lladdr", before, "nud", "reachable")

	node.Run(t, "ip", "link", "set", "eth0", "address", changed)

	netns.Eventually(t, patience, func() error {
		for _, a := range []string{virtual, virtual6} {
			if out := l.client.Run(t, "ip", "neigh", "show", a); !strings.Contains(out, changed) {
				return fmt.Errorf("the client's cache has %s, want %s", out, changed)
			}
		}
		return nil
	})
	bothAnswer(t, l, changed)
}

func TestARenamedInterfaceIsKnownByItsNewName(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := l.nodes[0]
	p := node.Start(t)
	p.Apply(t, owner(1, "lan0"), owner6(1))
	eventually(t, p, ingotv1.ItemResult_STATUS_PENDING, "interface lan0 does not exist on this node")
	eventuallySolicited(t, l.client, "eth0", mac(t, node, "eth0"))

	node.Run(t, "sh", "-c", "ip link set eth0 down && ip link set eth0 name lan0 && ip link set lan0 up")

	eventually(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")
	bothAnswer(t, l, mac(t, node, "lan0"))
	netns.Eventually(t, patience, func() error {
		for _, r := range p.Report().GetLayer2() {
			if !r.GetAnswering() || len(r.GetInterfaces()) != 1 || r.GetInterfaces()[0] != "lan0" {
				return fmt.Errorf("reported: %v", r)
			}
		}
		return nil
	})
}

// TestAnInterfaceThatJoinsABridgeIsLeftToIt: frames then belong to the bridge, which answers instead; and it answers itself
// again when it has left.
func TestAnInterfaceThatJoinsABridgeIsLeftToIt(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := l.nodes[0]
	p := node.Start(t)
	p.Apply(t, owner(1), owner6(1))
	bothAnswer(t, l, mac(t, node, "eth0"))
	interfaces := func(want string) {
		t.Helper()
		netns.Eventually(t, patience, func() error {
			reports := p.Report().GetLayer2()
			for _, r := range reports {
				if !r.GetAnswering() || strings.Join(r.GetInterfaces(), " ") != want {
					return fmt.Errorf("reported: %v; want it answered on %s", r, want)
				}
			}
			return nil
		})
	}
	interfaces("eth0")

	node.Run(t, "sh", "-c", "ip link add br1 address 02:00:00:00:00:78 type bridge && ip link set br1 up && ip link set eth0 master br1")
	interfaces("br1")
	bothAnswer(t, l, "02:00:00:00:00:78")

	node.Run(t, "sh", "-c", "ip link set eth0 nomaster && ip link del br1")
	interfaces("eth0")
	bothAnswer(t, l, mac(t, node, "eth0"))
}

func TestBothFamiliesSurviveALinkThatGoesDownAndUp(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := l.nodes[0]
	p := node.Start(t)
	p.Apply(t, owner(1, "eth0"), owner6(1, "eth0"))
	bothAnswer(t, l, mac(t, node, "eth0"))
	for range 3 {
		node.Run(t, "ip", "link", "set", "eth0", "down")
		status6(t, p, ingotv1.ItemResult_STATUS_PENDING, "interface eth0 is down")
		node.Run(t, "ip", "link", "set", "eth0", "up")
		status6(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")
		bothAnswer(t, l, mac(t, node, "eth0"))
	}
}
