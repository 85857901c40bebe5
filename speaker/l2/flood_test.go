package l2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/test/netns"
)

const (
	floodAddresses = 1000 // of both families
	floodTime      = 10 * time.Second
	probeInterval  = 5 * time.Millisecond
)

// BenchmarkFlood measures how long a host waits for answers of a node with a thousand addresses, and what that costs the
// node, while another host asks 10,000 times a second, and while none does:
//
//	go test ./speaker/l2 -run '^$' -bench Flood -benchtime 1x
func BenchmarkFlood(b *testing.B) {
	for _, perSecond := range []int{0, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d-a-second", perSecond), func(b *testing.B) {
			for range b.N {
				flooded(b, perSecond)
			}
		})
	}
}

func flooded(b *testing.B, perSecond int) {
	l := newLAN(b, 1)
	other := netns.New(b, "other")
	l.plug(b, other, "eth0", "other", "10.88.0.3/24")
	p := l.nodes[0].Start(b, quietEnv+"=1")
	items, all := manyAddresses(1)
	p.Apply(b, items...)
	client, flooder := newAsker(b, l.client), newAsker(b, other)
	netns.Eventually(b, 20*time.Second, func() error {
		for _, a := range all[floodAddresses-2:] {
			if _, err := client.ask(a); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(b.Context(), floodTime)
	defer cancel()
	asked := make(chan int, 1)
	answered := received(b, other)
	cpu, start := cpuTime(b, p.PID), time.Now()
	go func() { asked <- flooder.flood(ctx, all, perSecond) }()

	waits, lost := client.measure(ctx, all)

	n := <-asked
	if n < 0 {
		b.Fatal("the flood could not be sent")
	}
	used, took := cpuTime(b, p.PID)-cpu, time.Since(start)
	slices.Sort(waits)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/took.Seconds(), "asked/s")
	b.ReportMetric(float64(received(b, other)-answered)/took.Seconds(), "answered/s")
	b.ReportMetric(microseconds(waits[len(waits)/2]), "µs-median")
	b.ReportMetric(microseconds(waits[len(waits)*99/100]), "µs-p99")
	b.ReportMetric(microseconds(waits[len(waits)-1]), "µs-worst")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(len(waits)), "probes")
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
}

// manyAddresses are addresses of both families, and orders to own them.
func manyAddresses(term uint64) (items []*ingotv1.Item, all []netip.Addr) {
	v4, v6 := netip.MustParseAddr("10.88.4.0"), netip.MustParseAddr("fd88::4:0")
	for i := range floodAddresses {
		a := &v4
		if i%2 == 1 {
			a = &v6
		}
		*a = a.Next()
		all = append(all, *a)
		items = append(items, item(&ingotv1.Layer2Address{Address: a.String(), Role: ingotv1.Layer2Address_ROLE_OWNER, Term: term}))
	}
	return items, all
}

// BenchmarkTakeOver measures how long a node that is given a thousand addresses at once takes to probe for and to announce
// them all, as another host hears it, from the order.
func BenchmarkTakeOver(b *testing.B) {
	for range b.N {
		l := newLAN(b, 1)
		p := l.nodes[0].Start(b, quietEnv+"=1")
		a := newAsker(b, l.client)
		if err := unix.SetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
			b.Fatal(err)
		}
		// What the kernel drops here was announced all the same.
		if err := unix.SetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
			b.Fatal(err)
		}
		items, all := manyAddresses(2)
		missing := make(map[netip.Addr]bool, len(all))
		for _, address := range all {
			missing[address] = true
		}
		start := time.Now()
		var first time.Duration
		p.Apply(b, items...)
		buffer := make([]byte, frame.MaxLen)
		for len(missing) > 0 {
			n, err := unix.Read(a.fd, buffer)
			if err != nil && !errors.Is(err, unix.EINTR) {
				b.Fatalf("%d are not announced: %v", len(missing), err)
			}
			if m, ok := frame.Parse(buffer[:max(n, 0)]); ok && m.Gratuitous() && missing[m.Sender] {
				delete(missing, m.Sender)
				if first == 0 {
					first = time.Since(start)
				}
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(first.Milliseconds()), "ms-first")
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-last")
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// cpuTime is what a process used so far.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// received is how many packets a namespace's eth0 received.
func received(b *testing.B, n netns.Namespace) int {
	b.Helper()
	count, err := strconv.Atoi(strings.TrimSpace(n.Run(b, "cat", "/sys/class/net/eth0/statistics/rx_packets")))
	if err != nil {
		b.Fatal(err)
	}
	return count
}

// rawAsker asks for addresses, and hears what is sent to it alone.
type rawAsker struct {
	fd  int
	mac ownership.MAC
	v4  netip.Addr
	v6  netip.Addr
}

func newAsker(b *testing.B, n netns.Namespace) *rawAsker {
	b.Helper()
	a := &rawAsker{v6: n.LinkLocal(b, "eth0")}
	n.Do(b, func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			return err
		}
		a.v4 = netip.MustParsePrefix(addrs[0].String()).Addr()
		a.mac = ownership.MAC(ifi.HardwareAddr)
		if a.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := a.hearOnlyItself(); err != nil {
			return err
		}
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(a.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	})
	b.Cleanup(func() {
		if err := unix.Close(a.fd); err != nil {
			b.Error(err)
		}
	})
	return a
}

func (a *rawAsker) hearOnlyItself() error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(a.mac[:]), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(a.mac[4:])), SkipTrue: 1},
		bpf.RetConstant{Val: frame.MaxLen},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, 0, len(program))
	for _, i := range program {
		filter = append(filter, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	if err := unix.SetsockoptSockFprog(a.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return err
	}
	return unix.SetsockoptTimeval(a.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
}

func (a *rawAsker) request(target netip.Addr) ([]byte, error) {
	source := a.v4
	if target.Is6() {
		source = a.v6
	}
	return frame.Ask(a.mac, source, ownership.MAC{}, target)
}

// ask asks once and returns how long the answer took.
func (a *rawAsker) ask(target netip.Addr) (time.Duration, error) {
	request, err := a.request(target)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := unix.Write(a.fd, request); err != nil {
		return 0, err
	}
	buffer := make([]byte, frame.MaxLen)
	for {
		n, err := unix.Read(a.fd, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", target, err)
		}
		if m, ok := frame.Parse(buffer[:n]); ok && m.Op == frame.Reply && m.Sender == target {
			return time.Since(start), nil
		}
	}
}

// measure asks regularly until ctx ends. lost counts the questions without an answer for a second.
func (a *rawAsker) measure(ctx context.Context, targets []netip.Addr) (waits []time.Duration, lost int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return waits, lost
		case <-tick.C:
		}
		wait, err := a.ask(targets[rand.IntN(len(targets))])
		if err != nil {
			lost++
			continue
		}
		waits = append(waits, wait)
	}
}

// flood asks perSecond times a second until ctx ends, without looking at answers, and returns how often it did; less than 0
// if it could not.
func (a *rawAsker) flood(ctx context.Context, targets []netip.Addr, perSecond int) (n int) {
	requests := make([][]byte, 0, len(targets))
	for _, t := range targets {
		r, err := a.request(t)
		if err != nil {
			return -1
		}
		requests = append(requests, r)
	}
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(perSecond)); n < due; n++ {
			if _, err := unix.Write(a.fd, requests[rand.IntN(len(requests))]); err != nil {
				return -1
			}
		}
	}
}
