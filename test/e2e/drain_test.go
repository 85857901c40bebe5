package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asked is what became of requests that a client made, one each 10 ms, over connections of their own.
type asked struct {
	total, failed int
	// moved are those of the failed that were reset.
	moved int
	words []string
}

// askAll begins to ask an address, n times, one request after the other. What it returns waits for the end, and fails the test
// if a request was lost. The router changes its next hops spread times: each time it may move the connection that is open just
// then to another node, which knows nothing of it and resets it. No speaker can prevent that; see docs/bgp.md.
func askAll(t *testing.T, address string, n, spread int) (check func()) {
	t.Helper()
	done := make(chan asked, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), long+time.Duration(n)*100*time.Millisecond)
		defer cancel()
		// curl's own status says only that some of them failed.
		out, err := cluster.Exec(ctx, "client", "curl", "-s", "--rate", "100/s", "-H", "Connection: close", "--max-time", "3", "-o", "/dev/null",
			"-w", "%{http_code} %{errormsg}\n", fmt.Sprintf("http://%s/?[1-%d]", address, n))
		var a asked
		for line := range strings.Lines(out) {
			code, words, _ := strings.Cut(strings.TrimSpace(line), " ")
			a.total++
			if code != "200" {
				a.failed++
				if strings.Contains(words, "Connection reset by peer") {
					a.moved++
				}
				a.words = append(a.words, words)
			}
		}
		if a.total == 0 {
			a.words = append(a.words, fmt.Sprint(err))
		}
		done <- a
	}()
	return func() {
		t.Helper()
		a := <-done
		if a.total < n || a.failed > min(a.moved, spread) {
			t.Errorf("%d of %d requests, of which %d were made, were lost: %q", a.failed, n, a.total, a.words)
		}
	}
}

// withGracefulRestart is a pool, and peers of which the router keeps routes, beside others: one that is away, and one without graceful
// restart.
func withGracefulRestart(n int) string {
	return strings.Replace(bgp(n), "myASN: 64500\n", "myASN: 64500\n  enableGracefulRestart: true\n", 1) + fmt.Sprintf(`---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {namespace: metallb-system, name: away%[1]d}
spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.77, enableGracefulRestart: true}
`, n)
}

// TestNoRequestIsLostWhileSpeakersAreUpgraded: ended in an orderly way or killed, one after the other, and all at once.
func TestNoRequestIsLostWhileSpeakersAreUpgraded(t *testing.T) {
	apply(t, withGracefulRestart(60))
	apply(t, service("upgraded", "pool60", ""))
	address := addresses(t, "upgraded", 1)[0]
	announcedBy(t, address, nodes)
	established(t, 2*nodes)
	reachable(t, address)

	check := askAll(t, address, 1500, 0)
	for _, verb := range []string{"stop", "kill"} {
		lab(t, verb, "speaker/node1")
		if hops, err := nextHops(address); err != nil || len(hops) != nodes {
			t.Errorf("after %s of node1's speaker the router forwards to %v (%v)", verb, hops, err)
		}
		lab(t, "start", "speaker/node1")
		restarted(t, "192.168.222.11")
	}
	for i := range nodes {
		lab(t, "kill", fmt.Sprintf("speaker/node%d", i+1))
	}
	for i := range nodes {
		lab(t, "start", fmt.Sprintf("speaker/node%d", i+1))
	}
	check()
	established(t, 2*nodes)
	announcedBy(t, address, nodes)
}

// restarted waits until the router has heard all of a neighbour that has restarted, with its bits (RFC 4724 section 3).
func restarted(t *testing.T, address string) {
	t.Helper()
	eventually(t, "the router has heard all from "+address, func() error {
		out, err := tryIn("router", "vtysh", "-c", "show bgp neighbors "+address)
		if err != nil {
			return err
		}
		for _, want := range []string{"BGP state = Established", "Remote GR Mode: Restart", "R bit: True", "Received Restart Time(sec): 120", "F bit: True", "End-of-RIB received: Yes"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in %s", want, out)
			}
		}
		return nil
	})
}

// TestNoRequestIsLostWhileANodeIsDrained: the router hears that it shall prefer others, and then the sessions are shut, also
// over a restart of the speaker, until the annotation goes.
func TestNoRequestIsLostWhileANodeIsDrained(t *testing.T) {
	apply(t, bgp(61))
	apply(t, service("drained", "pool61", ""))
	address := addresses(t, "drained", 1)[0]
	announcedBy(t, address, nodes)
	established(t, 2*nodes)
	reachable(t, address)

	check := askAll(t, address, 1000, 1)
	heard := asksToPreferOthers(t, "192.168.222.11")
	kubectl(t, "annotate", "node", "node1", "ingot.io/drain=true")
	annotated := true
	undo := func() {
		if annotated {
			kubectl(t, "annotate", "node", "node1", "ingot.io/drain-")
			annotated = false
		}
	}
	t.Cleanup(undo)
	eventually(t, "the community graceful-shutdown", heard)
	isShut := func(s *sessionState) bool {
		e := s.Status.LastError
		return s.Status.BGPStatus == "Idle" && e != nil && e.Code == 6 && e.Subcode == 2
	}
	bgpState(t, "node1", "peer61", isShut)
	hops := announcedBy(t, address, nodes-1)
	if strings.Contains(strings.Join(hops, " "), "192.168.222.11") {
		t.Errorf("the router forwards to the drained node: %v", hops)
	}
	check()

	lab(t, "stop", "speaker/node1")
	lab(t, "start", "speaker/node1")
	obeying(t)
	bgpState(t, "node1", "peer61", func(s *sessionState) bool { return s.Status.BGPStatus == "Idle" })
	announcedBy(t, address, nodes-1)
	undo()
	announcedBy(t, address, nodes)
	established(t, 2*nodes)
}

// asksToPreferOthers has the router note what neighbours send, until the test ends. What it returns says whether one has asked it to
// prefer others since. Who looks at the router's routes now and then may miss that: it lasts 3 seconds.
func asksToPreferOthers(t *testing.T, neighbour string) func() error {
	t.Helper()
	configure(t, "log stdout debugging", "debug bgp updates in")
	t.Cleanup(func() { configure(t, "no debug bgp updates in", "log stdout informational") })
	log := filepath.Join(labDir, "log", "frr.log")
	before, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		now, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(now[len(before):])) {
			if strings.Contains(line, neighbour) && strings.Contains(line, "rcvd UPDATE") && strings.Contains(line, "graceful-shutdown") {
				return nil
			}
		}
		return fmt.Errorf("the router has logged %s", now[len(before):])
	}
}

// TestNoRequestIsLostWhenASpeakerEnds, whose routes no router keeps.
func TestNoRequestIsLostWhenASpeakerEnds(t *testing.T) {
	apply(t, bgp(62))
	apply(t, service("ending", "pool62", ""))
	address := addresses(t, "ending", 1)[0]
	announcedBy(t, address, nodes)
	established(t, 2*nodes)
	reachable(t, address)

	t.Cleanup(func() { _, _ = tryLab("start", "speaker/node1") })
	check := askAll(t, address, 1000, 2)
	lab(t, "stop", "speaker/node1")
	announcedBy(t, address, nodes-1)
	lab(t, "start", "speaker/node1")
	announcedBy(t, address, nodes)
	check()

	// A peer that is taken out of the configuration is left in the same way.
	check = askAll(t, address, 600, 2) // by node1 and by node3, one after the other
	kubectl(t, "patch", "bgppeer", "peer62", inSystem, "--type=merge", "-p", `{"spec":{"nodeSelectors":[{"matchLabels":{"kubernetes.io/hostname":"node2"}}]}}`)
	kubectl(t, "delete", "bgppeer", "peer62-v6", inSystem)
	announcedBy(t, address, 1)
	check()
}

// TestWhatIsNotWantedAfterARestartIsWithdrawn, though the router keeps what was announced before.
func TestWhatIsNotWantedAfterARestartIsWithdrawn(t *testing.T) {
	apply(t, withGracefulRestart(63))
	apply(t, service("stays", "pool63", ""))
	apply(t, service("goes", "pool63", ""))
	stays, goes := addresses(t, "stays", 1)[0], addresses(t, "goes", 1)[0]
	announcedBy(t, stays, nodes)
	announcedBy(t, goes, nodes)
	established(t, 2*nodes)

	lab(t, "kill", "speaker/node1")
	t.Cleanup(func() { _, _ = tryLab("start", "speaker/node1") })
	kubectl(t, "delete", "service", "goes")
	announcedBy(t, goes, 1) // stale
	lab(t, "start", "speaker/node1")
	announcedBy(t, goes, 0)
	announcedBy(t, stays, nodes)
}

// TestARouterThatRebootsGetsItsRoutesAgain without help.
func TestARouterThatRebootsGetsItsRoutesAgain(t *testing.T) {
	apply(t, bgp(64))
	apply(t, service("rebooted", "pool64", ""))
	address := addresses(t, "rebooted", 1)[0]
	announcedBy(t, address, nodes)

	t.Cleanup(func() { _, _ = tryLab("start", "frr") })
	lab(t, "kill", "frr")
	bgpState(t, "node1", "peer64", func(s *sessionState) bool {
		return !sessionIsUp(s) && s.Status.LastError != nil && strings.Contains(s.Status.LastError.Message, "connection refused")
	})
	lab(t, "start", "frr")
	established(t, 2*nodes)
	announcedBy(t, address, nodes)
	reachable(t, address)
}
