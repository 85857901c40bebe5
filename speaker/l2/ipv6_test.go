package l2

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const virtual6 = "fd88::100"

func owner6(term uint64, interfaces ...string) *ingotv1.Item {
	return item(&ingotv1.Layer2Address{Address: virtual6, Role: ingotv1.Layer2Address_ROLE_OWNER, Term: term, Interfaces: interfaces})
}

// solicit sends one multicast neighbour solicitation from a namespace and returns who answered, or "".
func solicit(n netns.Namespace, name, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := n.Command(ctx, "ndisc6", "-1", "-r", "1", "-w", "1000", address, name).CombinedOutput()
	var none *exec.ExitError
	if err != nil && !errors.As(err, &none) {
		return "", err
	}
	return strings.ToLower(macPattern.FindString(string(out))), nil
}

func eventuallySolicited(t *testing.T, n netns.Namespace, name, want string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		got, err := solicit(n, name, virtual6)
		if err == nil && got != want {
			err = fmt.Errorf("%q answers, want %q", got, want)
		}
		return err
	})
}

// status6 waits for the result of the IPv6 address's item to have a status and a part of its reason.
func status6(t *testing.T, p *netns.Process, status ingotv1.ItemResult_Status, reason string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		r := p.Result("layer2/" + virtual6)
		if r.GetStatus() != status || !strings.Contains(r.GetReason(), reason) {
			return fmt.Errorf("result %v; want %s with %q", r, status, reason)
		}
		return nil
	})
}

// neighbour is what the kernel of a namespace knows of the address: its hardware address and state.
func neighbour(t *testing.T, n netns.Namespace) (mac, state string) {
	t.Helper()
	line := n.Run(t, "ip", "-6", "neigh", "show", virtual6)
	if fields := strings.Fields(line); len(fields) > 0 {
		state = fields[len(fields)-1]
	}
	return strings.ToLower(macPattern.FindString(line)), state
}

func TestIPv6IsAnsweredForAsLongAsItIsOwned(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := mac(t, l.nodes[0], "eth0")
	p := l.nodes[0].Start(t)
	p.Apply(t, owner6(1))

	eventuallySolicited(t, l.client, "eth0", node)
	for _, other := range []string{"fd88::101", "fd99::100"} { // the second is asked for in the same group
		if got, err := solicit(l.client, "eth0", other); err != nil || got != "" {
			t.Errorf("%q answers for %s (%v), which the node does not own", got, other, err)
		}
	}

	p.Apply(t)
	if got, err := solicit(l.client, "eth0", virtual6); err != nil || got != "" {
		t.Errorf("%q still answers (%v)", got, err)
	}
}

// TestAHostThatVerifiesWhatItKnowsIsAnswered: the kernel does so with solicitations to the address itself, not to its group
// (RFC 4861 section 7.3).
func TestAHostThatVerifiesWhatItKnowsIsAnswered(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	p := l.nodes[0].Start(t)
	p.Apply(t, owner6(1))
	eventuallySolicited(t, l.client, "eth0", mac(t, l.nodes[0], "eth0"))

	// It asks three times otherwise, which is too few for a node that may have no time for seconds.
	l.client.Run(t, "sysctl", "-qw", "net.ipv6.neigh.eth0.ucast_solicit=30")
	l.client.Run(t, "ip", "-6", "neigh", "replace", virtual6, "dev", "eth0", "lladdr", mac(t, l.nodes[0], "eth0"), "nud", "probe")

	netns.Eventually(t, patience, func() error {
		if _, state := neighbour(t, l.client); state != "REACHABLE" {
			return fmt.Errorf("the client holds the address for %s, want REACHABLE", state)
		}
		return nil
	})
}

func TestDuplicateAddressDetectionFindsAnOwnedAddressTaken(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	p := l.nodes[0].Start(t)
	p.Apply(t, owner6(1))
	eventuallySolicited(t, l.client, "eth0", mac(t, l.nodes[0], "eth0"))

	l.client.Run(t, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1", "net.ipv6.conf.eth0.dad_transmits=15")
	l.client.Run(t, "ip", "addr", "add", virtual6+"/64", "dev", "eth0")

	netns.Eventually(t, patience, func() error {
		if out := l.client.Run(t, "ip", "-6", "addr", "show", "dev", "eth0"); !strings.Contains(out, "dadfailed") {
			return fmt.Errorf("the client did not find out:\n%s", out)
		}
		return nil
	})
}

func TestAddressesMoveInIPv6(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2)
	mac1, mac2 := mac(t, l.nodes[0], "eth0"), mac(t, l.nodes[1], "eth0")
	first, second := l.nodes[0].Start(t), l.nodes[1].Start(t)
	first.Apply(t, owner6(1))
	eventuallySolicited(t, l.client, "eth0", mac1)
	l.client.Run(t, "ip", "-6", "route", "add", "fd88::/64", "dev", "eth0")
	netns.Eventually(t, patience, func() error {
		// The client learns the first owner's address.
		l.client.Run(t, "sh", "-c", "ping -6 -c 1 -W 1 "+virtual6+" >/dev/null || true")
		if got, state := neighbour(t, l.client); got != mac1 {
			return fmt.Errorf("the client's cache has %q (%s), want %s", got, state, mac1)
		}
		return nil
	})

	second.Apply(t, owner6(2))
	status6(t, second, ingotv1.ItemResult_STATUS_PENDING, "still answered by another host, "+mac1+" on eth0")

	first.Apply(t)
	status6(t, second, ingotv1.ItemResult_STATUS_APPLIED, "")
	// Its announcement, not a question of the client, changes the cache.
	netns.Eventually(t, patience, func() error {
		if got, state := neighbour(t, l.client); got != mac2 {
			return fmt.Errorf("the client's cache has %q (%s), want %s", got, state, mac2)
		}
		return nil
	})
}

func TestIPv6NeedsALinkLocalAddress(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := l.nodes[0]
	node.Run(t, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
	p := node.Start(t)
	p.Apply(t, owner(1), owner6(1, "eth0"))
	status6(t, p, ingotv1.ItemResult_STATUS_PENDING, "interface eth0 has no link-local IPv6 address")
	eventually(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")

	node.Run(t, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")

	status6(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")
	eventuallySolicited(t, l.client, "eth0", mac(t, node, "eth0"))
	eventuallyAnswered(t, l.client, "eth0", mac(t, node, "eth0"))
}
