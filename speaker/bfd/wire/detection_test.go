package wire

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// cut is a switch between the node and FRR that can be unplugged without either end losing carrier.
type cut struct{ netns.Namespace }

func newCut(t testing.TB, n netns.Namespace) cut {
	t.Helper()
	c := cut{netns.New(t, "switch")}
	c.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	c.Configure(t, "br0")
	netns.Cable(t, netns.Here(t), "eth1", nil, c.Namespace, "node", nil)
	netns.Cable(t, n, "eth0", nil, c.Namespace, "frr", nil)
	for _, port := range []string{"node", "frr"} {
		c.Run(t, "ip", "link", "set", port, "master", "br0")
		t.Cleanup(func() { c.Run(t, "ip", "link", "del", port) })
	}
	return c
}

// set unplugs FRR, or plugs it in again, and returns when it began to.
func (c cut) set(t testing.TB, change func(port, bridge netlink.Link) error) (began time.Time) {
	t.Helper()
	c.Do(t, func() error {
		port, err := netlink.LinkByName("frr")
		if err != nil {
			return err
		}
		bridge, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		began = time.Now()
		return change(port, bridge)
	})
	return began
}

func (c cut) unplug(t testing.TB) time.Time {
	return c.set(t, func(port, _ netlink.Link) error { return netlink.LinkSetNoMaster(port) })
}

func (c cut) plug(t testing.TB) {
	c.set(t, netlink.LinkSetMaster)
}

// downs tells when control packets with the state Down leave a namespace by eth0: that is when an implementation has
// come to the conclusion.
func downs(ctx context.Context, t testing.TB, n netns.Namespace) <-chan time.Time {
	t.Helper()
	var fd int
	n.Do(t, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL)))
		if err != nil {
			return err
		}
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	})
	seen := make(chan time.Time, 1000)
	go func() {
		defer unix.Close(fd)
		b := make([]byte, 2048)
		for ctx.Err() == nil {
			size, from, err := unix.Recvfrom(fd, b, 0)
			now := time.Now()
			if err != nil {
				continue // nothing for a while
			}
			ll, ok := from.(*unix.SockaddrLinklayer)
			if s, udp := dissect(b[:size]); ok && udp && ll.Pkttype == unix.PACKET_OUTGOING && s.destinationPort == bfd.SingleHopPort && s.payload[1]>>6 == 1 {
				select {
				case seen <- now:
				default: // the first is what counts
				}
			}
		}
	}()
	return seen
}

// BenchmarkDetection unplugs a link, without loss of carrier, and measures how long our engine and FRR take to say Down,
// as a share of the negotiated detection time.
func BenchmarkDetection(b *testing.B) {
	const runs = 20
	for _, interval := range []time.Duration{300 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(fmt.Sprintf("%v x 3", interval), func(b *testing.B) {
			for b.Loop() {
				detect(b, runs, interval)
			}
		})
	}
}

func detect(b *testing.B, runs int, interval time.Duration) {
	p := bfd.Parameters{ReceiveInterval: interval, TransmitInterval: interval, DetectMultiplier: 3}
	n := netns.New(b, "frr")
	c := newCut(b, n)
	ours, theirs := neighbours(b, "eth1", netip.MustParseAddr("10.66.0.1"), n, netip.MustParseAddr("10.66.1.1"), 1)
	f := startFRR(b, n, theirs, p)
	w := newTransport(b)
	e := bfd.New(bfd.Options{Transport: w})
	defer e.Close()
	downAt := make(chan time.Time, 1000)
	s, err := e.Open(ours[0], p, func(s bfd.Status) {
		if s.State == bfd.Down && s.Failed {
			downAt <- time.Now()
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	theirDown := downs(ctx, b, n)

	var us, them []float64
	for range runs {
		await.True(b, "Up at both ends, with the timers negotiated", func() bool {
			st := s.Status()
			return st.State == bfd.Up && st.DetectionTime == 3*interval && st.TransmitInterval == interval && f.tally(b).Up == 1
		})
		<-time.After(time.Second + rand.N(interval)) // any moment between two packets
		for len(downAt) > 0 || len(theirDown) > 0 {
			select {
			case <-downAt:
			case <-theirDown:
			}
		}
		began := c.unplug(b)
		us = append(us, (<-downAt).Sub(began).Seconds()/(3*interval).Seconds())
		them = append(them, (<-theirDown).Sub(began).Seconds()/(3*interval).Seconds())
		c.plug(b)
	}
	slices.Sort(us)
	slices.Sort(them)
	b.ReportMetric(us[runs/2], "median")
	b.ReportMetric(us[runs-1], "worst")
	b.ReportMetric(them[runs/2], "FRR-median")
	b.ReportMetric(them[runs-1], "FRR-worst")
}
