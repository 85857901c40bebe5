package wire

import (
	"flag"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/netns"
)

// howLong is how long BenchmarkPressure keeps all cores busy.
var howLong = flag.Duration("busy", time.Minute, "how long BenchmarkPressure keeps all cores busy")

// pressed is what came of sessions while all cores were busy.
type pressed struct {
	ours, theirs, frrs tally
	packets            int     // of ours
	allocations        float64 // per packet
	cpu                time.Duration
}

// press runs sessions with an engine in another process, and with FRR, and keeps all cores busy for a time.
func press(t testing.TB, engines, frrs int, p bfd.Parameters, howLong time.Duration) (r pressed) {
	t.Helper()
	a, b := netns.New(t, "engines"), netns.New(t, "frr")
	for i, n := range []netns.Namespace{a, b} {
		netns.Cable(t, netns.Here(t), fmt.Sprintf("eth%d", i+1), nil, n, "eth0", nil)
		t.Cleanup(func() { n.Run(t, "ip", "link", "del", "eth0") })
	}
	ours, theirs := neighbours(t, "eth1", netip.MustParseAddr("10.66.0.1"), a, netip.MustParseAddr("10.66.1.1"), engines)
	oursFRR, theirsFRR := neighbours(t, "eth2", netip.MustParseAddr("10.67.0.1"), b, netip.MustParseAddr("10.67.1.1"), frrs)

	ask := startEngine(t, a, job{theirs, p})
	f := startFRR(t, b, theirsFRR, p)
	e, err := newEngine(job{append(ours, oursFRR...), p})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	allUp(t, engines+frrs, e)
	netns.Eventually(t, 30*time.Second, func() error {
		if got := ask(); got.Up != engines {
			return fmt.Errorf("%d of %d sessions of the other end are Up", got.Up, engines)
		}
		return nil
	})

	before, theirsBefore, frrBefore := e.tally(), ask(), f.tally(t)
	var memory, memoryAfter runtime.MemStats
	stop := busy(t)
	runtime.ReadMemStats(&memory)
	<-time.After(howLong)
	runtime.ReadMemStats(&memoryAfter)
	after, theirsAfter := e.tally(), ask()
	stop()
	frrAfter := f.tally(t)

	r.ours = tally{Up: after.Up, Downs: after.Downs - before.Downs, Judged: after.Judged - before.Judged}
	r.theirs = tally{Up: theirsAfter.Up, Downs: theirsAfter.Downs - theirsBefore.Downs, CPU: theirsAfter.CPU - theirsBefore.CPU}
	r.frrs = tally{Up: frrAfter.Up, Downs: frrAfter.Downs - frrBefore.Downs}
	r.packets = after.Packets - before.Packets
	r.cpu = after.CPU - before.CPU
	r.allocations = float64(memoryAfter.Mallocs-memory.Mallocs) / float64(r.packets)
	return r
}

// TestNoFalseDownUnderPressure is what BenchmarkPressure measures, with time enough for any machine.
func TestNoFalseDownUnderPressure(t *testing.T) {
	p := bfd.Parameters{ReceiveInterval: 200 * time.Millisecond, TransmitInterval: 200 * time.Millisecond, DetectMultiplier: 20}
	r := press(t, 15, 5, p, 5*time.Second)
	if r.ours.Up != 20 || r.ours.Downs != 0 || r.theirs.Downs != 0 || r.frrs.Downs != 0 {
		t.Errorf("sessions went down: %+v", r)
	}
	if r.allocations > 0.5 {
		t.Errorf("%.2f allocations for a packet, want none", r.allocations)
	}
}

// BenchmarkPressure has 100 sessions at 50 ms for a minute of busy cores: 90 with an engine in another process, 10
// with FRR. What it counts are false alarms, at each end.
func BenchmarkPressure(b *testing.B) {
	for _, multiplier := range []uint8{5, 3} {
		b.Run(fmt.Sprintf("50ms x %d", multiplier), func(b *testing.B) {
			p := bfd.Parameters{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond, DetectMultiplier: multiplier}
			for b.Loop() {
				r := press(b, 90, 10, p, *howLong)
				b.ReportMetric(float64(r.ours.Downs), "downs")
				b.ReportMetric(float64(r.ours.Judged), "downs-judged-here")
				b.ReportMetric(float64(r.theirs.Downs), "downs-of-the-other-engine")
				b.ReportMetric(float64(r.frrs.Downs), "downs-of-FRR")
				b.ReportMetric(100*r.cpu.Seconds()/howLong.Seconds(), "%CPU")
				b.ReportMetric(float64(r.packets)/howLong.Seconds(), "packets/s")
				b.ReportMetric(r.allocations, "allocs/packet")
			}
		})
	}
}
