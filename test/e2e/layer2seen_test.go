package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// l2Status is what the tests read of a ServiceL2Status.
type l2Status struct {
	Metadata struct{ Labels map[string]string }
	Status   struct {
		Node, ServiceName, ServiceNamespace, State string
		Interfaces                                 []struct{ Name string }
		Addresses                                  []struct {
			Address, Phase string
			Interfaces     []string
			Standbys       []string
			Term           int
			Others         []struct{ Node, Reason string }
		}
	}
}

// l2Statuses are those of a Service.
func l2Statuses(service string) ([]l2Status, error) {
	out, err := tryKubectl("", "get", "servicel2statuses", inSystem, "-l", "metallb.io/service-name="+service, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []l2Status }
	err = json.Unmarshal([]byte(out), &list)
	return list.Items, err
}

// speakerFaults are the faults of a node, as its SpeakerState has them.
func speakerFaults(node string) (string, error) {
	return tryKubectl("", "get", "speakerstate", node, inSystem, "-o", `jsonpath={range .status.faults[*]}{.reason}: {.message}{"\n"}{end}`)
}

// TestWhoAnswersIsServed, and why others do not, with MetalLB's fields, columns, labels and metrics.
func TestWhoAnswersIsServed(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "l2seen", `{addresses: [192.168.222.176-192.168.222.177]}`))
	apply(t, object("v1beta1", "L2Advertisement", "l2seen", `{ipAddressPools: [l2seen], interfaces: [eth1], refreshInterval: 2s, probeAddresses: [192.168.222.1]}`))
	apply(t, service("l2seen", "l2seen", ""))
	address := addresses(t, "l2seen", 1)[0]
	mac := answering(t, address)

	var got l2Status
	eventually(t, "the ServiceL2Status", func() error {
		list, err := l2Statuses("l2seen")
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].Status.State != "Announced" || len(list[0].Status.Addresses) != 1 || len(list[0].Status.Addresses[0].Others) != nodes-1 {
			return fmt.Errorf("it is %+v", list)
		}
		got = list[0]
		return nil
	})
	node, entry := got.Status.Node, got.Status.Addresses[0]
	if !strings.Contains(in(t, node, "ip", "link", "show", "eth1"), mac) {
		t.Errorf("%s answers, which is not eth1 of %s", mac, node)
	}
	if got.Status.ServiceName != "l2seen" || got.Status.ServiceNamespace != "default" || len(got.Status.Interfaces) != 1 || got.Status.Interfaces[0].Name != "eth1" ||
		entry.Address != address || !slices.Equal(entry.Interfaces, []string{"eth1"}) || entry.Term == 0 || entry.Phase != "Answering" {
		t.Errorf("it is %+v", got)
	}
	if l := got.Metadata.Labels; l["metallb.io/node"] != node || l["metallb.io/service-namespace"] != "default" {
		t.Errorf("labels %v", l)
	}
	if lines := strings.Split(strings.TrimSpace(kubectl(t, "get", "servicel2statuses", inSystem, "--field-selector", "status.serviceName=l2seen,status.node="+node)), "\n"); len(lines) != 2 ||
		strings.Join(strings.Fields(lines[0]), " ") != "NAME ALLOCATED NODE SERVICE NAME SERVICE NAMESPACE SINCE" {
		t.Errorf("table: %q", lines)
	}

	eventually(t, "the SpeakerStates", func() error {
		out, err := tryKubectl("", "get", "speakerstates", inSystem, "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.status.state} {.status.segments[?(@.interface=="eth1")].witnesses[?(@.address=="192.168.222.1")].answer}{"\n"}{end}`)
		for i := range nodes {
			if line := fmt.Sprintf("node%d Connected Answers\n", i+1); err == nil && !strings.Contains(out+"\n", line) {
				err = fmt.Errorf("there is no %q in %q", line, out)
			}
		}
		return err
	})
	if out := strings.TrimSpace(kubectl(t, "get", "spk", inSystem, "--field-selector", "status.node="+node, "--no-headers")); len(strings.Fields(out)) < 6 || strings.Contains(out, "\n") {
		t.Errorf("of %s: %q", node, out)
	}
	if out := in(t, node, bin+"/speaker", "show", "layer2", "--grpc-socket", "/run/ingot/"+node+"/speaker.sock"); !strings.Contains(out, address) || !strings.Contains(out, "Answering") {
		t.Errorf("speaker show layer2: %s", out)
	}

	series := func(name string) string { return "metallb_layer2_" + name + `{ip="` + address + `"}` }
	var sent float64
	eventually(t, "the metrics", func() error {
		samples, types, err := metrics(node)
		if err != nil {
			return err
		}
		sent = samples[series("gratuitous_sent")]
		announced := samples[`metallb_speaker_announced{ip="`+address+`",node="`+node+`",protocol="layer2",service="default/l2seen"}`]
		if samples[series("requests_received")] == 0 || samples[series("responses_sent")] == 0 || sent == 0 || announced != 1 ||
			types["metallb_layer2_responses_sent"] != "counter" || types["metallb_speaker_announced"] != "gauge" {
			return fmt.Errorf("%v", samples)
		}
		return nil
	})
	eventually(t, "an announcement by refreshInterval, long after the burst", func() error {
		samples, _, err := metrics(node)
		if now := samples[series("gratuitous_sent")]; err == nil && now < sent+12 { // the burst has 10 frames
			err = fmt.Errorf("%v frames, after %v", now, sent)
		}
		return err
	})

	kubectl(t, "delete", "service", "l2seen")
	eventually(t, "the end of the ServiceL2Status", func() error {
		list, err := l2Statuses("l2seen")
		if err == nil && len(list) != 0 {
			err = fmt.Errorf("it is %+v", list)
		}
		return err
	})
}

// TestAnotherHostWithTheAddressIsTold: nobody of ours begins to answer, and the Service and the node say why, until it has
// gone.
func TestAnotherHostWithTheAddressIsTold(t *testing.T) {
	const address = "192.168.222.179"
	device := strings.TrimSpace(in(t, "client", "sh", "-c", `ip -o route get 192.168.222.1 | sed -n 's/.* dev \([^ ]*\).*/\1/p'`))
	in(t, "client", "ip", "address", "add", address+"/32", "dev", device)
	removed := false
	remove := func() {
		if !removed {
			in(t, "client", "ip", "address", "del", address+"/32", "dev", device)
			removed = true
		}
	}
	t.Cleanup(remove)
	apply(t, object("v1beta1", "IPAddressPool", "l2taken", `{addresses: [`+address+`/32]}`))
	apply(t, object("v1beta1", "L2Advertisement", "l2taken", `{ipAddressPools: [l2taken], interfaces: [eth1]}`))
	apply(t, service("l2taken", "l2taken", ""))
	addresses(t, "l2taken", 1)
	mac := strings.TrimSpace(in(t, "client", "cat", "/sys/class/net/"+device+"/address"))

	condition := func(want string) error {
		out, err := tryKubectl("", "get", "service", "l2taken", "-o", `jsonpath={.status.conditions[?(@.type=="ingot.io/AddressConflict")].status} {.status.conditions[?(@.type=="ingot.io/AddressConflict")].message}`)
		if err == nil && (!strings.HasPrefix(out, want) || want == "True" && !(strings.Contains(out, mac) && strings.Contains(out, address))) {
			err = fmt.Errorf("the condition is %q, want %s", out, want)
		}
		return err
	}
	eventually(t, "the condition", func() error { return condition("True") })
	eventually(t, "the event", func() error {
		out, err := tryKubectl("", "get", "events", "--field-selector", "involvedObject.name=l2taken,reason=AddressConflict", "-o", `jsonpath={range .items[*]}{.type} {.count} {.message}{"\n"}{end}`)
		if lines := strings.Split(strings.TrimSpace(out), "\n"); err == nil && (len(lines) != 1 || !strings.HasPrefix(lines[0], "Warning 1 ") || !strings.Contains(lines[0], mac)) {
			err = fmt.Errorf("events %q", out)
		}
		return err
	})
	eventually(t, "the fault of the owner", func() error {
		all := ""
		for i := range nodes {
			faults, err := speakerFaults(fmt.Sprintf("node%d", i+1))
			if err != nil {
				return err
			}
			all += faults + "\n"
		}
		if !strings.Contains(all, "ForeignOwner: another host with the hardware address "+mac+" uses "+address) {
			return fmt.Errorf("faults: %s", all)
		}
		return nil
	})
	if list, err := l2Statuses("l2taken"); err != nil || len(list) != 0 {
		t.Errorf("somebody of ours answers: %+v, %v", list, err)
	}
	if out := kubectl(t, "get", "service", "l2taken", "-o", `jsonpath={.status.conditions[?(@.type=="ingot.io/Allocated")].status}`); out != "True" {
		t.Errorf("the other condition is %q", out)
	}

	remove()
	eventually(t, "an answer of ours", func() error {
		list, err := l2Statuses("l2taken")
		if err == nil && len(list) != 1 {
			err = fmt.Errorf("%+v", list)
		}
		return err
	})
	reachable(t, address)
	eventually(t, "the end of the conflict", func() error { return condition("False") })
}

// TestANodeOfAnotherNetworkIsNamed: its own address on the LAN is wrong, though it is Ready.
func TestANodeOfAnotherNetworkIsNamed(t *testing.T) {
	apply(t, object("v1beta1", "IPAddressPool", "l2wrong", `{addresses: [192.168.222.181/32]}`))
	apply(t, object("v1beta1", "L2Advertisement", "l2wrong", `{ipAddressPools: [l2wrong], interfaces: [], probeAddresses: [192.168.222.1]}`))
	apply(t, service("l2wrong", "l2wrong", ""))
	address := addresses(t, "l2wrong", 1)[0]
	answering(t, address)
	var owner string
	eventually(t, "the ServiceL2Status", func() error {
		list, err := l2Statuses("l2wrong")
		if err == nil && len(list) != 1 {
			err = fmt.Errorf("%+v", list)
		}
		if err == nil {
			owner = list[0].Status.Node
		}
		return err
	})
	own := strings.Fields(in(t, owner, "sh", "-c", `ip -o -4 addr show dev eth1 | awk '{print $4}'`))[0]
	in(t, owner, "ip", "address", "add", "192.168.202.200/24", "dev", "eth1")
	in(t, owner, "ip", "address", "del", own, "dev", "eth1")
	t.Cleanup(func() {
		in(t, owner, "ip", "address", "add", own, "dev", "eth1")
		in(t, owner, "ip", "address", "del", "192.168.202.200/24", "dev", "eth1")
	})
	eventually(t, "another owner", func() error {
		list, err := l2Statuses("l2wrong")
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].Status.Node == owner || len(list[0].Status.Addresses) != 1 {
			return fmt.Errorf("%+v", list)
		}
		for _, o := range list[0].Status.Addresses[0].Others {
			if o.Node == owner && strings.Contains(o.Reason, "no link of "+owner) {
				return nil
			}
		}
		return fmt.Errorf("why it moved is not told: %+v", list)
	})
	eventually(t, "the fault", func() error {
		faults, err := speakerFaults(owner)
		if err == nil && !strings.Contains(faults, "NoLink: no link of "+owner) {
			err = fmt.Errorf("faults of %s: %q", owner, faults)
		}
		return err
	})
	reachable(t, address)
}
