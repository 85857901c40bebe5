package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
	"github.com/ingot-lb/ingot/speaker/saved"
	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

const (
	fourPeers = 4
	quiet     = 20 * time.Second // of which the idle CPU is a share
)

// BenchmarkSpeaker measures what a speaker needs with many routes to four peers, all of them a real router: its memory, its CPU and
// the messages it sends while nothing changes, and how long after its start, from saved state, the router's RIB has all routes
// of all peers. The centre is away, so that nothing else is measured.
func BenchmarkSpeaker(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), slow)
	defer cancel()
	l, client := startLab(ctx, b, 1)
	part(ctx, b, l, control.Kill, "kube-proxy/node1") // it would be busy with the Services for longer than we measure
	device, err := l.Exec(ctx, "router", "sh", "-c", "ip -o addr show to 192.168.222.1 | awk '{print $2}'")
	if err != nil {
		b.Fatal(err)
	}
	post(ctx, b, client, group+"bgpadvertisements", `{"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"all"}}`)
	post(ctx, b, client, group+"ipaddresspools", poolOf("all", all))
	for i := 1; i <= fourPeers; i++ {
		spec := `"myASN":64500,"peerASN":64501,"connectTime":"1s"`
		if i > 1 { // FRR tells neighbours apart by their addresses
			for place, address := range map[string][]string{"router": {strings.TrimSpace(device), fmt.Sprint(i)}, "node1": {"eth1", fmt.Sprint(50 + i)}} {
				if _, err := l.Exec(ctx, place, "ip", "addr", "add", "192.168.222."+address[1]+"/24", "dev", address[0]); err != nil {
					b.Fatal(err)
				}
			}
			spec += fmt.Sprintf(`,"sourceAddress":"192.168.222.%d"`, 50+i)
		}
		post(ctx, b, client, peers, fmt.Sprintf(`{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"router%d"},
			"spec":{%s,"peerAddress":"192.168.222.%d"}}`, i, spec, i))
	}
	if err := createRouted(ctx, client, "one"); err != nil {
		b.Fatal(err)
	}
	learnt(ctx, b, l, 1)
	waitFor(b, "saved state", func() error {
		if s, err := savedState(ctx, l); err != nil || routeOf(s) == nil {
			return fmt.Errorf("no route in it: %v", err)
		}
		return nil
	})
	part(ctx, b, l, control.Kill, "apiserver/1")
	for _, routes := range []int{100, 1000, 5000, 10_000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			for b.Loop() {
				part(ctx, b, l, control.Kill, "speaker/node1")
				learnt(ctx, b, l, 0)
				multiply(ctx, b, l, routes)
				began := time.Now()
				started := make(chan error, 1)
				go func() {
					started <- control.Call(ctx, l.Dir(), control.Request{Verb: control.Start, Part: "speaker/node1"}, nil)
				}()
				learnt(ctx, b, l, routes)
				b.ReportMetric(time.Since(began).Seconds(), "s-start-to-all")
				if err := <-started; err != nil {
					b.Fatal(err)
				}
				wait(ctx, b, quiet)
				before, began := figures(ctx, b, l), time.Now()
				wait(ctx, b, quiet)
				after, took := figures(ctx, b, l), time.Since(began)
				b.ReportMetric(after["process_resident_memory_bytes"]/(1<<20), "MiB-resident")
				b.ReportMetric(after["go_memstats_heap_alloc_bytes"]/(1<<20), "MiB-heap")
				b.ReportMetric((after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/took.Seconds()*1000, "idle-mCPU")
				b.ReportMetric((after["metallb_bgp_total_sent"]-before["metallb_bgp_total_sent"])/took.Minutes(), "idle-messages/min")
				b.ReportMetric(after["metallb_bgp_updates_total"]-before["metallb_bgp_updates_total"], "idle-updates")
			}
		})
	}
}

// wait lets time pass in which nothing is done.
func wait(ctx context.Context, b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-ctx.Done():
		b.Fatal(ctx.Err())
	case <-time.After(d):
	}
}

const stateFile = "/run/ingot/node1/state"

// savedState reads what the speaker saved last.
func savedState(ctx context.Context, l *labtest.Lab) (saved.Snapshot, error) {
	out, err := l.Exec(ctx, "node1", "cat", stateFile)
	if err != nil {
		return saved.Snapshot{}, err
	}
	return saved.Decode([]byte(out))
}

func routeOf(s saved.Snapshot) *ingotv1.Item {
	for _, held := range s.State.Lanes[ingotv1.Lane_LANE_ROUTING].Items {
		if held.Item.GetBgpRoute() != nil {
			return held.Item
		}
	}
	return nil
}

// multiply gives the saved state of a speaker that does not run as many routes as that, each of a Service of its own, all like the first.
func multiply(ctx context.Context, b *testing.B, l *labtest.Lab, routes int) {
	b.Helper()
	s, err := savedState(ctx, l)
	if err != nil {
		b.Fatal(err)
	}
	lane := s.State.Lanes[ingotv1.Lane_LANE_ROUTING]
	first := proto.CloneOf(routeOf(s))
	lane.Items = slices.DeleteFunc(lane.Items, func(h desired.Held) bool { return h.Item.GetBgpRoute() != nil })
	for _, held := range lane.Items {
		if g := held.Item.GetBgpGuard(); g != nil {
			g.Routes = uint32(routes)
		}
	}
	for i := range routes {
		item := proto.CloneOf(first)
		route := item.GetBgpRoute()
		route.Prefix = fmt.Sprintf("10.200.%d.%d/32", i>>8, i&255)
		route.Services[0].Name = fmt.Sprintf("many-%d", i)
		item.Id = "bgp-route/" + route.GetPrefix()
		lane.Items = append(lane.Items, desired.Held{Status: ingotv1.ItemResult_STATUS_APPLIED, Item: item})
	}
	s.State.Lanes[ingotv1.Lane_LANE_ROUTING] = lane
	data, err := saved.Encode(s)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "state")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	if _, err := l.Exec(ctx, "node1", "cp", file, stateFile); err != nil {
		b.Fatal(err)
	}
}

// part does something to a part of the lab.
func part(ctx context.Context, b *testing.B, l *labtest.Lab, verb, name string) {
	b.Helper()
	if err := control.Call(ctx, l.Dir(), control.Request{Verb: verb, Part: name}, nil); err != nil {
		b.Fatal(err)
	}
}

// learnt waits until the router has so many prefixes of each peer; for none, until it has no session.
func learnt(ctx context.Context, b *testing.B, l *labtest.Lab, prefixes int) {
	b.Helper()
	waitFor(b, fmt.Sprintf("%d prefixes of each peer", prefixes), func() error {
		out, err := l.Exec(ctx, "router", "vtysh", "-c", "show bgp ipv4 unicast summary json")
		if err != nil {
			return err
		}
		var summary struct {
			Peers map[string]struct {
				State  string
				PfxRcd int
			}
		}
		if err := json.Unmarshal([]byte(out), &summary); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		full := 0
		for _, p := range summary.Peers {
			if p.State == "Established" && p.PfxRcd == prefixes {
				full++
			}
		}
		if want := fourPeers; prefixes > 0 && full != want || prefixes == 0 && strings.Contains(out, `"Established"`) {
			return fmt.Errorf("the router has %v", summary.Peers)
		}
		return nil
	})
}

// figures returns the speaker's metrics, each the sum over its labels.
func figures(ctx context.Context, b *testing.B, l *labtest.Lab) map[string]float64 {
	b.Helper()
	out, err := l.Exec(ctx, "node1", "curl", "-sS", "http://127.0.0.1:7472/metrics")
	if err != nil {
		b.Fatal(err)
	}
	sums := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		line := lines.Text()
		name, at := strings.IndexAny(line, "{ "), strings.LastIndexByte(line, ' ')
		if name < 1 || line[0] == '#' {
			continue
		}
		n, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			b.Fatal(line, err)
		}
		sums[line[:name]] += n
	}
	return sums
}
