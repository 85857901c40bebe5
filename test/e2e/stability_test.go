package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settled announces one Service by BGP and one by layer 2 and returns their addresses once both answer.
func settled(t *testing.T, n int) (routed, lan string) {
	t.Helper()
	noNeighbours(t) // of which one may count as one that is awaited here
	apply(t, bgp(n))
	apply(t, layer2(n))
	apply(t, service(fmt.Sprintf("routed%d", n), fmt.Sprintf("pool%d", n), ""))
	apply(t, service(fmt.Sprintf("lan%d", n), fmt.Sprintf("lan%d", n), ""))
	routed = addresses(t, fmt.Sprintf("routed%d", n), 1)[0]
	lan = addresses(t, fmt.Sprintf("lan%d", n), 1)[0]
	announcedBy(t, routed, nodes)
	established(t, 2*nodes)
	answering(t, lan)
	reachable(t, routed)
	reachable(t, lan)
	return routed, lan
}

// state is what GetState of a node's speaker says.
type state struct {
	Lineage  string
	Refusing string
	Streams  []struct {
		Connected bool
		Leading   bool
		Lineage   string
		LastError string
	}
}

func speakerState(node string) (state, error) {
	var s state
	out, err := tryIn(node, filepath.Join(bin, "grpcurl"), "-plaintext", "127.0.0.1:7474", "ingot.v1.SpeakerService/GetState")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// obeying waits until every speaker is connected to a leading apiserver and obeys it.
func obeying(t *testing.T) {
	t.Helper()
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		eventually(t, "the speaker of "+node+" obeying the centre", func() error {
			s, err := speakerState(node)
			if err != nil {
				return err
			}
			if s.Refusing != "" || len(s.Streams) == 0 || !s.Streams[0].Connected || !s.Streams[0].Leading {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
}

func TestKilledSpeakerReturnsFromSavedStateWithTheCentreAway(t *testing.T) {
	routed, _ := settled(t, 20)
	lab(t, "kill", "apiserver/1")
	t.Cleanup(func() { lab(t, "start", "apiserver/1"); obeying(t) })

	lab(t, "kill", "speaker/node1")
	hops := announcedBy(t, routed, nodes-1)
	if strings.Contains(strings.Join(hops, " "), "192.168.222.11") {
		t.Errorf("node1's speaker is dead, but the router has %v", hops)
	}

	lab(t, "start", "speaker/node1")
	announcedBy(t, routed, nodes)
	reachable(t, routed)
}

func TestCentreGoneWithdrawsNothing(t *testing.T) {
	routed, lan := settled(t, 30)
	owner := answering(t, lan)
	before := updates(t)

	centre := []string{"apiserver/1", "controller", "kube-apiserver", "etcd"}
	cases := [][]string{{centre[0]}, {centre[1]}, {centre[3]}, {centre[2]}, centre}
	for _, parts := range cases {
		t.Run(strings.ReplaceAll(strings.Join(parts, "+"), "/", "-"), func(t *testing.T) {
			for _, part := range parts {
				lab(t, "kill", part)
			}
			stays := func() error {
				hops, err := nextHops(routed)
				if err != nil {
					return err
				}
				if len(hops) != nodes {
					return fmt.Errorf("the router has only %v", hops)
				}
				mac, err := arp(lan)
				if err != nil {
					return err
				}
				if mac != owner {
					return fmt.Errorf("%s answers for %s, not %s", mac, lan, owner)
				}
				return nil
			}
			always(t, "announcements with the centre gone", 6*time.Second, stays)
			if _, err := fetch(routed); err != nil {
				t.Error(err)
			}

			for i := range parts {
				lab(t, "start", parts[len(parts)-1-i])
			}
			obeying(t)
			always(t, "announcements after the centre's return", 6*time.Second, stays)
			if diff := cmp.Diff(before, updates(t)); diff != "" {
				t.Errorf("BGP UPDATEs that the router received by neighbour, -before +after:\n%s", diff)
			}
		})
	}
}

func TestForeignLineageIsRefusedUntilAdopted(t *testing.T) {
	routed, lan := settled(t, 50)
	before := updates(t)
	held, err := speakerState("node1")
	if err != nil {
		t.Fatal(err)
	}

	lab(t, "kill", "apiserver/1")
	if err := os.RemoveAll(filepath.Join(labDir, "apiserver-1")); err != nil {
		t.Fatal(err)
	}
	giveUp(t, held.Lineage)
	lab(t, "start", "apiserver/1")
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		eventually(t, node+" refusing the foreign lineage", func() error {
			s, err := speakerState(node)
			if err != nil {
				return err
			}
			if !strings.Contains(s.Refusing, held.Lineage) || s.Lineage != held.Lineage {
				return fmt.Errorf("%+v, want it to refuse and to name lineage %s", s, held.Lineage)
			}
			return nil
		})
	}
	always(t, "announcements under a foreign lineage", 5*time.Second, func() error {
		if hops, err := nextHops(routed); err != nil || len(hops) != nodes {
			return fmt.Errorf("the router has %v (%v)", hops, err)
		}
		_, err := arp(lan)
		return err
	})

	// The operator restores the configuration, then says the word: nothing moves.
	if _, err := tryKubectl(bgp(50)+"---\n"+layer2(50), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "Ready", "ipaddresspool/pool50", "bgppeer/peer50", "bgppeer/peer50-v6", "bgpadvertisement/advertisement50", "ipaddresspool/lan50", "l2advertisement/lan50")
	out := in(t, "control", filepath.Join(bin, "apiserver"), "adopt")
	if !strings.Contains(out, held.Lineage) {
		t.Errorf("adopt printed %q, want the lineage %s that it superseded", out, held.Lineage)
	}
	obeying(t)
	if got := addresses(t, "routed50", 1)[0]; got != routed {
		t.Errorf("the Service's address moved from %s to %s", routed, got)
	}
	announcedBy(t, routed, nodes)
	answering(t, lan)
	if diff := cmp.Diff(before, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs by neighbour, -before +after adopting:\n%s", diff)
	}

	// The new lineage is effective: it can withdraw.
	kubectl(t, "delete", "service", "routed50")
	announcedBy(t, routed, 0)
}

// ownerOf is the node whose interface in the LAN answers for an address.
func ownerOf(t *testing.T, address string) (node, mac string) {
	t.Helper()
	mac = answering(t, address)
	for i := range nodes {
		name := fmt.Sprintf("node%d", i+1)
		if strings.Contains(in(t, name, "ip", "link", "show", "eth1"), mac) {
			return name, mac
		}
	}
	t.Fatalf("%s answers for %s, which is no node's", mac, address)
	return "", ""
}

// TestOwnerCutOffFromTheCentreKeepsItsAddress: its neighbours hear it, so that nobody else is told to own the address,
// though its stream is long gone; and when it is back, nothing has moved.
func TestOwnerCutOffFromTheCentreKeepsItsAddress(t *testing.T) {
	_, lan := settled(t, 80)
	owner, mac := ownerOf(t, lan)
	stays := func() error {
		if got, err := arp(lan); err != nil || got != mac {
			return fmt.Errorf("%s answers for %s (%v), not %s of %s", got, lan, err, mac, owner)
		}
		return nil
	}
	connected := func() (string, error) {
		return tryKubectl("", "get", "speakerstates", "-n", "metallb-system", owner, "-o", "jsonpath={.status.state}")
	}

	lab(t, "cut", owner, "--link", "mgmt")
	healed := false
	t.Cleanup(func() {
		if !healed {
			lab(t, "heal", owner, "--link", "mgmt")
		}
	})
	eventually(t, "the end of its stream", func() error {
		if err := stays(); err != nil {
			t.Fatal(err)
		}
		if state, err := connected(); err != nil || state == "Connected" {
			return fmt.Errorf("%s (%v)", state, err)
		}
		return nil
	})
	always(t, "its answers", 5*time.Second, stays)
	lab(t, "heal", owner, "--link", "mgmt")
	healed = true
	obeying(t)
	if err := stays(); err != nil {
		t.Error(err)
	}
	if out := kubectl(t, "get", "events", "--field-selector", "reason=OwnerChanged,involvedObject.name=lan80", "-o", "jsonpath={.items[*].message}"); out != "" {
		t.Errorf("it moved: %s", out)
	}
}

func TestUnexplainedLossIsHeldBackUntilAdopted(t *testing.T) {
	const services = 12
	apply(t, bgp(90))
	var manifests strings.Builder
	names := make([]string, services)
	for i := range names {
		names[i] = fmt.Sprintf("many%d", i)
		manifests.WriteString(service(names[i], "pool90", ""))
	}
	apply(t, manifests.String())
	routed := make([]string, services)
	for i, name := range names {
		routed[i] = addresses(t, name, 1)[0]
		announcedBy(t, routed[i], nodes)
	}
	established(t, 2*nodes)
	before := updates(t)

	lab(t, "kill", "apiserver/1")
	kubectl(t, append([]string{"delete", "service"}, names...)...)
	lab(t, "start", "apiserver/1")
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		eventually(t, node+" holding back", func() error {
			s, err := speakerState(node)
			if err == nil && !strings.Contains(s.Refusing, "apiserver adopt") {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}
	if diff := cmp.Diff(before, updates(t)); diff != "" {
		t.Errorf("BGP UPDATEs while the loss is held back, -before +after:\n%s", diff)
	}

	in(t, "control", filepath.Join(bin, "apiserver"), "adopt")
	for _, prefix := range routed {
		announcedBy(t, prefix, 0)
	}
	obeying(t)
}
