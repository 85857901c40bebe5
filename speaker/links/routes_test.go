package links

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/test/await"
)

// ip runs a command in the thread's namespace.
func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// alone gives the test's thread a network namespace of its own, which takes root.
func alone(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread's namespace ends with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace of its own, which takes root: %v", err)
	}
}

func TestListSaysWhatThereIs(t *testing.T) {
	alone(t)
	for _, args := range []string{
		"link add br0 type bridge", "link set br0 addrgenmode none up",
		"link add eth0 type veth peer name far0", "link set eth0 address 02:00:00:00:00:11 addrgenmode none up", "link set far0 addrgenmode none up",
		"link add eth1 type veth peer name far1", "link set eth1 addrgenmode none up",
		"link add eth2 type veth peer name far2", "link set eth2 addrgenmode none master br0 up", "link set far2 addrgenmode none up",
		"addr add 192.0.2.11/24 dev eth0", "addr add 2001:db8::11/64 dev eth0 nodad",
		"route add 198.51.100.0/24 dev eth0", "route add 192.0.2.128/25 dev eth0",
		"route add 203.0.113.0/24 via 192.0.2.200", "route add 203.0.114.0/24 via 192.0.2.1", "route add default via 192.0.2.254",
		"route add 10.1.0.0/16 nexthop via 192.0.2.201 dev eth0 nexthop via 192.0.2.202 dev eth0",
		"-6 route add default via fe80::1 dev eth0", "route add 10.2.0.0/16 via inet6 fe80::2 dev eth0",
		"route add 10.3.0.0/16 via 192.0.2.99 table 77", "route add blackhole 10.4.0.0/16",
	} {
		ip(t, args)
	}

	want := map[string]*ingotv1.LinkReport{
		"eth0": {
			Name: "eth0", Mac: "02:00:00:00:00:11", Up: true, Enabled: true, Carrier: true,
			Addresses: []string{"192.0.2.11/24", "2001:db8::11/64"}, OnLink: []string{"198.51.100.0/24"},
			NextHops: []string{"192.0.2.254", "fe80::1", "192.0.2.1", "192.0.2.200", "192.0.2.201", "192.0.2.202", "fe80::2"},
		},
		"eth1": {Name: "eth1", Enabled: true, Unfit: "is down"},
		"eth2": {Name: "eth2", Up: true, Enabled: true, Carrier: true, Master: "br0", Unfit: "belongs to another interface (bond, bridge or VRF)"},
	}
	// The kernel takes note of a carrier some time after it is there.
	await.Success(t, "all is listed", func() error {
		listed, err := List([]*regexp.Regexp{regexp.MustCompile("^(lo|far.|br0)$")})
		if err != nil {
			return err
		}
		got := map[string]*ingotv1.LinkReport{}
		for _, l := range listed {
			r := l.Report()
			if l.Name != "eth0" {
				r.Mac = ""
			}
			got[l.Name] = r
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			return fmt.Errorf("links (-want +got):\n%s", diff)
		}
		return nil
	})
}

func TestRoutesThatComeAndGoAreTold(t *testing.T) {
	alone(t)
	ip(t, "link add eth0 type bridge")
	ip(t, "addr add 192.0.2.11/24 dev eth0")
	ip(t, "link set eth0 up")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []string
	steps := []string{"route add 198.51.100.0/24 via 192.0.2.1", "route del 198.51.100.0/24", ""}
	WatchRoutes(ctx, slog.New(slog.DiscardHandler), time.Millisecond, func() {
		listed, err := List(nil)
		if err != nil {
			t.Error(err)
		}
		hops := "none"
		for _, l := range listed {
			for _, a := range l.NextHops {
				hops = a.String()
			}
		}
		seen = append(seen, hops)
		if len(seen) > len(steps) || steps[len(seen)-1] == "" {
			cancel()
			return
		}
		ip(t, steps[len(seen)-1])
	})
	if diff := cmp.Diff([]string{"none", "192.0.2.1", "none"}, seen); diff != "" {
		t.Errorf("next hops (-want +got):\n%s", diff)
	}
}

func TestChangesThatGoOnAreLookedAtLessOften(t *testing.T) {
	p := patience{least: 500 * time.Millisecond}
	now := time.Unix(0, 0)
	var waits []time.Duration
	for range 8 { // a change every millisecond
		w := p.wait(now)
		waits = append(waits, w)
		now = now.Add(w)
		p.last = now
		now = now.Add(time.Millisecond)
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s / 2, s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}, waits); diff != "" {
		t.Errorf("held for (-want +got):\n%s", diff)
	}
	if w := p.wait(now.Add(2 * time.Minute)); w != s/2 {
		t.Errorf("after a pause, held for %s", w)
	}
}

func TestSinceIsKeptForAsLongAsALinkIsUpOrDown(t *testing.T) {
	first, second := time.UnixMilli(1000), time.UnixMilli(2000)
	before := []Link{{Index: 1, Name: "eth0", Up: true}, {Index: 2, Name: "eth1", Up: true}, {Index: 3, Name: "eth2"}}
	Stamp(nil, before, first)
	now := []Link{{Index: 1, Name: "lan0", Up: true}, {Index: 2, Name: "eth1"}, {Index: 4, Name: "eth2"}}
	Stamp(before, now, second)
	want := []Link{{Index: 1, Name: "lan0", Up: true, Since: first}, {Index: 2, Name: "eth1", Since: second}, {Index: 4, Name: "eth2", Since: second}}
	if diff := cmp.Diff(want, now, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestSourceAndContains(t *testing.T) {
	l := Link{
		MAC:       ownership.MAC{2},
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24"), netip.MustParsePrefix("198.51.100.11/16"), netip.MustParsePrefix("2001:db8::11/64"), netip.MustParsePrefix("fe80::11/64")},
		OnLink:    []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("198.51.100.0/28")},
	}
	tests := []struct {
		target, source string
		bits           int
		on             bool
	}{
		{"192.0.2.1", "192.0.2.11", 24, true},
		{"198.51.100.1", "198.51.100.11", 28, true},
		{"203.0.113.5", "192.0.2.11", 24, true},
		{"10.0.0.1", "192.0.2.11", 0, false},
		{"2001:db8::1", "2001:db8::11", 64, true},
		{"fe80::1", "fe80::11", 64, true},
		{"2001:db8:1::1", "fe80::11", 0, false},
	}
	for _, tt := range tests {
		target := netip.MustParseAddr(tt.target)
		if got := l.Source(target); got.String() != tt.source {
			t.Errorf("%s is asked from %s, want %s", target, got, tt.source)
		}
		if bits, on := l.Contains(target); bits != tt.bits || on != tt.on {
			t.Errorf("%s: on the link %v by %d bits, want %v by %d", target, on, bits, tt.on, tt.bits)
		}
	}
	if got := (Link{}).Source(netip.MustParseAddr("192.0.2.1")); got.IsValid() {
		t.Errorf("a link without addresses asks from %s", got)
	}
}
