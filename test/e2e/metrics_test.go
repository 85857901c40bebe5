package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// metrics are the samples that a node's speaker serves, by name and labels, and the types by name.
func metrics(node string) (samples map[string]float64, types map[string]string, err error) {
	out, err := tryIn(node, "curl", "-sS", "http://127.0.0.1:7472/metrics")
	if err != nil {
		return nil, nil, err
	}
	samples, types = map[string]float64{}, map[string]string{}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); strings.HasPrefix(line, "# TYPE ") && len(words) == 4 {
			types[words[2]] = words[3]
		} else if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			if samples[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
				return nil, nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return samples, types, nil
}

var ofSessions = regexp.MustCompile(`^metallb_(bgp|bfd)_`)

// TestSpeakerMetricsKeepTheirWord: they are well-formed, of the types that MetalLB's have, equal to what the router counts,
// never smaller than before while a session is lost, and gone with their peer.
func TestSpeakerMetricsKeepTheirWord(t *testing.T) {
	noNeighbours(t) // the router's numbers are of the session alone, which must be our first
	routerBFD(t)
	apply(t, bfdProfile(patient))
	apply(t, strings.Replace(bgp(34), "  peerAddress: "+routerV4+"\n", "  peerAddress: "+routerV4+"\n  bfdProfile: watch\n", 1))
	apply(t, service("measured", "pool34", dualStack))
	both := addresses(t, "measured", 2)
	for _, address := range both {
		announcedBy(t, address, nodes)
	}
	series := func(name string) string { return "metallb_" + name + `{peer="` + routerV4 + `",vrf="default"}` }
	bgpSeries := func(name string) string {
		return "metallb_bgp_" + name + `{peer="` + routerV4 + `:179",vrf="default"}`
	}
	eventually(t, "BFD up in the metrics", func() error {
		samples, _, err := metrics("node1")
		if err == nil && (samples[series("bfd_session_up")] != 1 || samples[bgpSeries("session_up")] != 1) {
			err = fmt.Errorf("%v", samples)
		}
		return err
	})

	out := in(t, "node1", "curl", "-sS", "http://127.0.0.1:7472/metrics")
	problems, err := promlint.New(strings.NewReader(out)).Lint()
	if err != nil {
		t.Fatalf("not the text format of Prometheus: %v", err)
	}
	for _, p := range problems {
		// MetalLB's names are what dashboards ask for.
		if !strings.HasPrefix(p.Metric, "metallb_") || !strings.Contains(p.Text, "_total") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	_, types, err := metrics("node1")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"metallb_bgp_session_up": "gauge", "metallb_bgp_announced_prefixes_total": "gauge", "metallb_bgp_pending_prefixes_total": "gauge",
		"metallb_bgp_updates_total": "counter", "metallb_bgp_updates_total_received": "counter", "metallb_bgp_opens_sent": "counter",
		"metallb_bgp_opens_received": "counter", "metallb_bgp_notifications_sent": "counter", "metallb_bgp_keepalives_sent": "counter",
		"metallb_bgp_keepalives_received": "counter", "metallb_bgp_route_refresh_sent": "counter", "metallb_bgp_total_sent": "counter",
		"metallb_bgp_total_received": "counter", "metallb_bfd_session_up": "gauge", "metallb_bfd_control_packet_input": "counter",
		"metallb_bfd_control_packet_output": "counter", "metallb_bfd_echo_packet_input": "counter", "metallb_bfd_echo_packet_output": "counter",
		"metallb_bfd_session_up_events": "counter", "metallb_bfd_session_down_events": "counter", "metallb_bfd_zebra_notifications": "counter",
	}
	maps.DeleteFunc(types, func(name, _ string) bool { return !ofSessions.MatchString(name) })
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("types, -want +got:\n%s", diff)
	}
	for _, address := range both {
		eventually(t, address+" among what is announced", func() error {
			samples, _, err := metrics("node1")
			if err == nil && samples[`metallb_speaker_announced{ip="`+address+`",node="node1",protocol="bgp",service="default/measured"}`] != 1 {
				err = fmt.Errorf("%v", samples)
			}
			return err
		})
	}
	eventually(t, "the router's numbers", func() error {
		samples, _, err := metrics("node1")
		if err != nil {
			return err
		}
		out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors "+node1+" json")
		if err != nil {
			return err
		}
		var all map[string]struct {
			MessageStats struct {
				OpensSent, OpensRecv, UpdatesSent, UpdatesRecv, KeepalivesSent, KeepalivesRecv, NotificationsRecv, TotalSent, TotalRecv float64
			}
		}
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err
		}
		theirs := all[node1].MessageStats
		want := map[string]float64{
			"opens_sent": theirs.OpensRecv, "opens_received": theirs.OpensSent, "updates_total": theirs.UpdatesRecv, "updates_total_received": theirs.UpdatesSent,
			"keepalives_sent": theirs.KeepalivesRecv, "keepalives_received": theirs.KeepalivesSent, "notifications_sent": theirs.NotificationsRecv,
			"total_sent": theirs.TotalRecv, "total_received": theirs.TotalSent, "announced_prefixes_total": 1, "pending_prefixes_total": 1,
		}
		got := map[string]float64{}
		for name := range want {
			got[name] = samples[bgpSeries(name)]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("-router +speaker:\n%s", diff)
		}
		return nil
	})

	for i, change := range []func(){
		func() { in(t, "router", "vtysh", "-c", "clear bgp "+node1) },
		func() {
			kubectl(t, "patch", "bgppeer", "peer34", inSystem, "--type=merge", "-p", `{"spec":{"holdTime":"30s"}}`) // which resets the session
		},
	} {
		before, _, err := metrics("node1")
		if err != nil {
			t.Fatal(err)
		}
		change()
		eventually(t, "another session", func() error {
			after, _, err := metrics("node1")
			if err != nil {
				return err
			}
			for name, was := range before {
				metric, _, _ := strings.Cut(name, "{")
				if strings.HasPrefix(name, "metallb_bgp_") && types[metric] == "counter" && after[name] < was {
					t.Errorf("%s went from %v to %v", name, was, after[name])
				}
			}
			if opens := after[bgpSeries("opens_sent")]; opens < float64(i+2) || after[bgpSeries("session_up")] != 1 || after[bgpSeries("announced_prefixes_total")] != 1 {
				return fmt.Errorf("opens %v, up %v", opens, after[bgpSeries("session_up")])
			}
			return nil
		})
	}
	kubectl(t, "delete", "bgppeer", "peer34", inSystem)
	eventually(t, "the peer's series being gone", func() error {
		samples, _, err := metrics("node1")
		for name := range samples {
			if ofSessions.MatchString(name) && strings.Contains(name, `peer="`+routerV4) {
				return fmt.Errorf("%s is there", name)
			}
		}
		return err
	})
}
