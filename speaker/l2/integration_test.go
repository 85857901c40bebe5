package l2

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

const virtual = "10.88.0.100"

// patience is how long anything may take, on a busy machine too.
const patience = 30 * time.Second

// lan is a switch with a client and nodes, whose interfaces are called eth0.
type lan struct {
	sw     netns.Namespace
	client netns.Namespace
	nodes  []netns.Namespace
}

func newLAN(t testing.TB, nodes int) lan {
	t.Helper()
	l := lan{sw: netns.New(t, "switch"), client: netns.New(t, "client")}
	l.sw.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	l.sw.Configure(t, "br0")
	l.plug(t, l.client, "eth0", "client", "10.88.0.2/24")
	for i := range nodes {
		n := netns.New(t, fmt.Sprintf("node%d", i+1))
		l.plug(t, n, "eth0", fmt.Sprintf("node%d", i+1), fmt.Sprintf("10.88.0.%d/24", 11+i))
		l.nodes = append(l.nodes, n)
	}
	return l
}

// plug connects an interface of a namespace to a port of the switch.
func (l lan) plug(t testing.TB, n netns.Namespace, name, port string, addresses ...string) {
	t.Helper()
	netns.Cable(t, n, name, addresses, l.sw, port, nil)
	l.sw.Run(t, "ip", "link", "set", port, "master", "br0")
	// The kernel takes note of a carrier some time after it is there: then the link is up, and gets its link-local address.
	n.LinkLocal(t, name)
}

// mac returns the hardware address of an interface.
func mac(t *testing.T, n netns.Namespace, name string) string {
	t.Helper()
	return strings.TrimSpace(n.Run(t, "cat", "/sys/class/net/"+name+"/address"))
}

var macPattern = regexp.MustCompile(`(?i)([0-9a-f]{2}:){5}[0-9a-f]{2}`)

// ask sends one ARP request from a namespace and returns who answered, or "".
func ask(n netns.Namespace, name, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := n.Command(ctx, "arping", "-c", "1", "-w", "1", "-I", name, address).CombinedOutput()
	if _, none := err.(*exec.ExitError); err != nil && !none {
		return "", err
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "from") && strings.Contains(line, address) && !strings.HasPrefix(line, "ARPING") {
			return strings.ToLower(macPattern.FindString(line)), nil
		}
	}
	return "", nil
}

// eventuallyAnswered waits until a request is answered by want, or by nobody.
func eventuallyAnswered(t *testing.T, n netns.Namespace, name, want string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		got, err := ask(n, name, virtual)
		if err == nil && got != want {
			err = fmt.Errorf("%q answers, want %q", got, want)
		}
		return err
	})
}

// answerer waits for a request to be answered, and returns by whom.
func answerer(t *testing.T, n netns.Namespace, name string) (by string) {
	t.Helper()
	netns.Eventually(t, patience, func() (err error) {
		if by, err = ask(n, name, virtual); err == nil && by == "" {
			err = errors.New("nobody answers")
		}
		return err
	})
	return by
}

func owner(term uint64, interfaces ...string) *ingotv1.Item {
	return item(&ingotv1.Layer2Address{Address: virtual, Role: ingotv1.Layer2Address_ROLE_OWNER, Term: term, Interfaces: interfaces})
}

func item(content *ingotv1.Layer2Address) *ingotv1.Item {
	return &ingotv1.Item{Id: "layer2/" + content.GetAddress(), Digest: "d", Content: &ingotv1.Item_Layer2Address{Layer2Address: content}}
}

// eventually waits for the result of the address's item to have a status and a part of its reason.
func eventually(t *testing.T, p *netns.Process, status ingotv1.ItemResult_Status, reason string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		r := p.Result("layer2/" + virtual)
		if r.GetStatus() != status || !strings.Contains(r.GetReason(), reason) {
			return fmt.Errorf("result %v; want %s with %q", r, status, reason)
		}
		return nil
	})
}

func TestTheFirstOwnerProbesAndAnswers(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	p := l.nodes[0].Start(t)

	got := p.Apply(t, owner(1),
		item(&ingotv1.Layer2Address{Address: "10.88.0.101", Role: ingotv1.Layer2Address_ROLE_STANDBY, Term: 1}),
		item(&ingotv1.Layer2Address{Address: "fd88::100", Role: ingotv1.Layer2Address_ROLE_OWNER, Term: 1}))

	probing := "probing whether another host still answers"
	want := []*ingotv1.ItemResult{
		{Id: "layer2/" + virtual, Digest: "d", Status: ingotv1.ItemResult_STATUS_PENDING, Reason: probing},
		{Id: "layer2/10.88.0.101", Digest: "d", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Id: "layer2/fd88::100", Digest: "d", Status: ingotv1.ItemResult_STATUS_PENDING, Reason: probing},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	eventuallyAnswered(t, l.client, "eth0", mac(t, l.nodes[0], "eth0"))
	for _, other := range []string{"10.88.0.101", "10.88.0.102"} {
		if got, err := ask(l.client, "eth0", other); err != nil || got != "" {
			t.Errorf("%q answers for %s (%v), which the node does not own", got, other, err)
		}
	}
	netns.Eventually(t, patience, func() error {
		want := []*ingotv1.Layer2Report{
			{Address: virtual, Interfaces: []string{"eth0"}, Term: 1, Answering: true, Role: ingotv1.Layer2Address_ROLE_OWNER, Phase: "Answering"},
			{Address: "10.88.0.101", Term: 1, Role: ingotv1.Layer2Address_ROLE_STANDBY, Phase: "Standby"},
			{Address: "fd88::100", Interfaces: []string{"eth0"}, Term: 1, Answering: true, Role: ingotv1.Layer2Address_ROLE_OWNER, Phase: "Answering"},
		}
		if diff := cmp.Diff(want, p.Report().GetLayer2(), protocmp.Transform(), protocmp.IgnoreFields(&ingotv1.Layer2Report{}, "since_ms")); diff != "" {
			return fmt.Errorf("report (-want +got):\n%s", diff)
		}
		return nil
	})
	links := p.Report().GetLinks()
	if len(links) != 1 || links[0].GetName() != "eth0" || !links[0].GetUp() || links[0].GetMac() != mac(t, l.nodes[0], "eth0") {
		t.Errorf("links: %v", links)
	}
}

func TestWithdrawnAddressesAreNotAnswered(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	p := l.nodes[0].Start(t)
	p.Apply(t, owner(1))
	eventuallyAnswered(t, l.client, "eth0", mac(t, l.nodes[0], "eth0"))

	p.Apply(t)

	if got, err := ask(l.client, "eth0", virtual); err != nil || got != "" {
		t.Errorf("%q still answers (%v)", got, err)
	}
}

func TestALaterOwnerWaitsForTheEarlierOne(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2)
	mac1, mac2 := mac(t, l.nodes[0], "eth0"), mac(t, l.nodes[1], "eth0")
	first, second := l.nodes[0].Start(t), l.nodes[1].Start(t)
	first.Apply(t, owner(1))
	eventually(t, first, ingotv1.ItemResult_STATUS_APPLIED, "")
	cached := func() string {
		return strings.ToLower(macPattern.FindString(l.client.Run(t, "ip", "neigh", "show", virtual)))
	}
	netns.Eventually(t, patience, func() error {
		// The client learns the first owner's address.
		l.client.Run(t, "sh", "-c", "ping -c 1 -W 1 "+virtual+" >/dev/null || true")
		if got := cached(); got != mac1 {
			return fmt.Errorf("the client's cache has %q, want %s", got, mac1)
		}
		return nil
	})

	second.Apply(t, owner(2))
	eventually(t, second, ingotv1.ItemResult_STATUS_PENDING, "still answered by another host, "+mac1+" on eth0")
	if got := answerer(t, l.client, "eth0"); got != mac1 {
		t.Errorf("%q answers, want the first owner's %s", got, mac1)
	}

	first.Apply(t, item(&ingotv1.Layer2Address{Address: virtual, Role: ingotv1.Layer2Address_ROLE_STANDBY, Term: 2}))
	eventually(t, second, ingotv1.ItemResult_STATUS_APPLIED, "")
	// Its announcement, not a question of the client, changes the cache.
	netns.Eventually(t, patience, func() error {
		if got := cached(); got != mac2 {
			return fmt.Errorf("the client's cache has %q, want %s", got, mac2)
		}
		return nil
	})
}

func TestARestoredOwnerYieldsToWhoeverAnswers(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2)
	mac1, mac2 := mac(t, l.nodes[0], "eth0"), mac(t, l.nodes[1], "eth0")
	old := l.nodes[0].Start(t)
	old.Apply(t, owner(1))
	old.Kill()
	second := l.nodes[1].Start(t)
	second.Apply(t, owner(2))
	eventually(t, second, ingotv1.ItemResult_STATUS_APPLIED, "")

	restored := l.nodes[0].Start(t)
	restored.Restore(t, owner(1))

	eventually(t, restored, ingotv1.ItemResult_STATUS_PENDING, "still answered by another host, "+mac2+" on eth0")
	if got := answerer(t, l.client, "eth0"); got != mac2 {
		t.Errorf("%q answers, want the second owner's %s", got, mac2)
	}
	second.Kill()
	eventually(t, restored, ingotv1.ItemResult_STATUS_APPLIED, "")
	eventuallyAnswered(t, l.client, "eth0", mac1)
}

func TestALinkThatComesLaterIsUsed(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node := l.nodes[0]
	p := node.Start(t)
	results := p.Apply(t, owner(1, "eth5", "eth6"))
	want := "interface eth5 does not exist on this node, or is excluded; interface eth6 does not exist on this node, or is excluded"
	if got := results[0]; got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING || got.GetReason() != want {
		t.Errorf("got %v, want pending: %s", got, want)
	}

	l.plug(t, node, "eth5", "later")
	eventually(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")
	eventuallyAnswered(t, l.client, "eth0", mac(t, node, "eth5"))

	l.sw.Run(t, "ip", "link", "set", "later", "down")
	eventually(t, p, ingotv1.ItemResult_STATUS_PENDING, "interface eth5 is down")
	l.sw.Run(t, "ip", "link", "set", "later", "up")
	eventually(t, p, ingotv1.ItemResult_STATUS_APPLIED, "")
	eventuallyAnswered(t, l.client, "eth0", mac(t, node, "eth5"))
}

func TestOnlyTheListedInterfacesAnswer(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	node, elsewhere := l.nodes[0], netns.New(t, "elsewhere")
	netns.Cable(t, node, "eth1", []string{"10.89.0.11/24"}, elsewhere, "eth0", []string{"10.88.0.3/24"})
	p := node.Start(t)

	p.Apply(t, owner(1, "eth0"))
	eventuallyAnswered(t, l.client, "eth0", mac(t, node, "eth0"))
	if got, err := ask(elsewhere, "eth0", virtual); err != nil || got != "" {
		t.Errorf("%q answers on an interface that is not listed (%v)", got, err)
	}

	p.Apply(t, owner(1))
	eventuallyAnswered(t, elsewhere, "eth0", mac(t, node, "eth1"))
}

func TestExcludedInterfacesAreLeftAlone(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 1)
	p := l.nodes[0].Start(t, excludeEnv+"=th0$")
	results := p.Apply(t, owner(1))
	if got := results[0]; got.GetStatus() != ingotv1.ItemResult_STATUS_PENDING || got.GetReason() != "no interface of this node qualifies for layer 2" {
		t.Errorf("got %v", got)
	}
	if got, err := ask(l.client, "eth0", virtual); err != nil || got != "" {
		t.Errorf("%q answers on an excluded interface (%v)", got, err)
	}
}
