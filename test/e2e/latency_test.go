package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkApplyToRoute measures how long it takes from a kubectl apply of a Service to its route in the router:
// from the start of kubectl, which itself takes most of it, and from its return. The route is seen by the kernel's
// route monitor, so that looking does not add to the time. Run it with -benchtime 20x.
func BenchmarkApplyToRoute(b *testing.B) {
	apply(b, bgp(90))
	established(b, 2*nodes)
	monitor := exec.Command(filepath.Join(bin, "lab"), "--dir", labDir, "exec", "router", "--", "ip", "-o", "monitor", "route")
	out, err := monitor.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := monitor.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = monitor.Process.Kill(); _ = monitor.Wait() }()
	type route struct {
		line string
		at   time.Time
	}
	routes := make(chan route, 1024)
	go func() {
		defer close(routes)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !strings.HasPrefix(lines.Text(), "Deleted") {
				routes <- route{lines.Text(), time.Now()}
			}
		}
	}()

	var fromStart, fromReturn []time.Duration
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("latency-%d", i)
		manifest := service(name, "pool90", "")
		start := time.Now()
		if _, err := tryKubectl(manifest, "apply", "-f", "-"); err != nil {
			b.Fatal(err)
		}
		returned := time.Now()
		address := addresses(b, name, 1)[0]
		timeout := time.After(long)
		for found := false; !found; {
			select {
			case r, ok := <-routes:
				if !ok {
					b.Fatal("the route monitor ended")
				}
				if found = strings.HasPrefix(r.line, address+" "); found {
					fromStart = append(fromStart, r.at.Sub(start))
					fromReturn = append(fromReturn, max(0, r.at.Sub(returned)))
				}
			case <-timeout:
				b.Fatalf("no route to %s", address)
			}
		}
		b.Cleanup(func() { _, _ = tryKubectl("", "delete", "service", name, "--ignore-not-found", "--wait=false") })
	}
	for what, took := range map[string][]time.Duration{"from-apply": fromStart, "from-return": fromReturn} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median-"+what)
		b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-worst-"+what)
	}
}
