package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestClonesWithOneHardwareAddress is what happened to somebody: bridges of cloned machines have one hardware address, and
// one of the nodes, though Ready, an address of another network. All addresses stay within reach, of neighbours that learn
// anew who has them, too, and the causes are named.
func TestClonesWithOneHardwareAddress(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "clones", `{addresses: [192.168.222.184-192.168.222.186]}`))
	apply(t, object("v1beta1", "L2Advertisement", "clones", `{ipAddressPools: [clones]}`))
	for i := range nodes {
		bridged(t, fmt.Sprintf("node%d", i+1), i == 1)
	}
	var all []string
	for i := range 3 {
		name := fmt.Sprintf("clones-%d", i)
		apply(t, service(name, "clones", ""))
		all = append(all, addresses(t, name, 1)[0])
	}
	for i := range nodes {
		in(t, fmt.Sprintf("node%d", i+1), "ip", "link", "set", "br-bus", "address", "5e:7a:11:22:33:44")
	}

	var owner string
	eventually(t, "one owner of all", func() error {
		owner = ""
		for i := range all {
			list, err := l2Statuses(fmt.Sprintf("clones-%d", i))
			if err != nil {
				return err
			}
			if len(list) != 1 || owner != "" && list[0].Status.Node != owner {
				return fmt.Errorf("%s owns others, and of this: %+v", owner, list)
			}
			owner = list[0].Status.Node
		}
		if owner == "node2" {
			return errors.New("node2 has them, which is in another network")
		}
		return nil
	})
	eventually(t, "the faults", func() error {
		for i := range nodes {
			node := fmt.Sprintf("node%d", i+1)
			faults, err := speakerFaults(node)
			if err != nil {
				return err
			}
			want := "SharedMAC: br-bus of " + node + " has the hardware address 5e:7a:11:22:33:44"
			if !strings.Contains(faults, want) || node == "node2" && !strings.Contains(faults, "NoLink: no link of node2") {
				return fmt.Errorf("faults of %s: %q", node, faults)
			}
		}
		return nil
	})
	for _, place := range []string{"client", "router"} {
		for range 2 {
			for _, address := range all {
				eventually(t, address+" from "+place, func() error {
					// Ten in a row: nodes that took each other's traffic away would let some through.
					_, err := tryIn(place, "sh", "-ec", "for i in 1 2 3 4 5 6 7 8 9 10; do curl -sf -m 3 -o /dev/null http://"+address+"/; done")
					return err
				})
			}
			in(t, place, "ip", "neigh", "flush", "all")
		}
	}
}

// bridged puts a node's link to the LAN into a bridge that has its addresses instead, one of another network if wrong.
func bridged(t *testing.T, node string, wrong bool) {
	t.Helper()
	host := strings.TrimPrefix(node, "node")
	v4, v6 := "192.168.222.1"+host+"/24", "fd00:222::1"+host+"/64"
	bus := v4
	if wrong {
		bus = "192.168.77.1" + host + "/24"
	}
	routes := in(t, node, "sh", "-c", "ip route show dev eth1 | grep via; ip -6 route show dev eth1 | grep via; true")
	again := func(device string) string {
		var commands []string
		for _, r := range strings.Split(strings.TrimSpace(routes), "\n") {
			words := strings.Fields(r)
			if len(words) >= 3 && words[1] == "via" {
				commands = append(commands, "ip route replace "+strings.Join(words[:3], " ")+" dev "+device)
			}
		}
		return strings.Join(commands, "\n")
	}
	commands := []string{
		"ip link add br-bus type bridge", "ip link set br-bus address 5e:7a:11:22:33:0" + host + " up",
		"ip address del " + v4 + " dev eth1", "ip address del " + v6 + " dev eth1", "ip link set eth1 master br-bus",
		"ip address add " + bus + " dev br-bus", "ip address add " + v6 + " dev br-bus nodad",
	}
	if !wrong {
		commands = append(commands, again("br-bus"))
	}
	t.Cleanup(func() {
		in(t, node, "sh", "-c", "ip link del br-bus; ip address add "+v4+" dev eth1; ip address add "+v6+" dev eth1 nodad\n"+again("eth1"))
	})
	in(t, node, "sh", "-ec", strings.Join(commands, "\n"))
}
