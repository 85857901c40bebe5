package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

// rtt is how long a host takes to answer.
const rtt = 300 * time.Microsecond

var (
	ourMAC = ownership.MAC{2, 0, 0, 0, 0, 1}
	macs   = map[string]ownership.MAC{
		"192.0.2.1": {2, 0, 0, 0, 1, 1}, "192.0.2.12": {2, 0, 0, 0, 0, 2}, "192.0.2.13": {2, 0, 0, 0, 0, 3}, "192.0.2.50": {2, 0, 0, 0, 1, 50},
		"192.0.2.51": {2, 0, 0, 0, 1, 51}, "192.0.2.52": {2, 0, 0, 0, 1, 52}, "192.0.2.53": {2, 0, 0, 0, 1, 53}, "192.0.2.77": {2, 0, 0, 0, 1, 77},
	}
)

// network is a LAN in virtual time, and the watcher of a node on it.
type network struct {
	t *testing.T
	*Watcher

	mu sync.Mutex
	// answers decides, of each question, whether the answer comes.
	answers func(target string) bool
	asked   map[string][]question
	changes int
	// unsendable has no question leave the node.
	unsendable bool
	// slept is what the node's clock has beyond that of its timers.
	slept    time.Duration
	sessions map[netip.Addr]*fakeSession
	refuse   error
	// up says that sessions are up before anybody has heard of them.
	up bool
}

// run runs a test with a network in which everybody answers.
func run(t *testing.T, test func(n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, asked: map[string][]question{}, answers: func(string) bool { return true }, sessions: map[netip.Addr]*fakeSession{}}
		started := time.Now()
		now := func() time.Duration {
			n.mu.Lock()
			defer n.mu.Unlock()
			return time.Hour + time.Since(started) + n.slept
		}
		n.Watcher = newWatcher(Options{Log: slog.New(slog.DiscardHandler), Ask: n.ask, Changed: func(string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.changes++
		}}, n.open, now)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { n.Watcher.Run(ctx) })
		test(n)
		cancel()
		running.Wait()
	})
}

func (n *network) ask(link string, source, target netip.Addr, mac ownership.MAC) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := target.String()
	if n.unsendable {
		return errors.New("interface eth0 cannot be spoken on")
	}
	n.asked[name] = append(n.asked[name], question{link: link, source: source, target: target, mac: mac})
	if !n.answers(name) {
		return nil
	}
	time.AfterFunc(rtt, func() { n.Heard(link, target, macs[name], true, n.now()) })
	return nil
}

// answer has the hosts answer that are named, and no others.
func (n *network) answer(hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers = func(target string) bool {
		for _, h := range hosts {
			if h == target {
				return true
			}
		}
		return false
	}
}

// questions returns how many were asked of a host since this was asked last.
func (n *network) questions(host string) []question {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked[host]
	n.asked[host] = nil
	return asked
}

// pass lets time pass.
func (n *network) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// segment returns what is reported of eth0.
func (n *network) segment() *ingotv1.SegmentReport {
	var r ingotv1.Report
	n.Report(&r)
	for _, s := range r.GetSegments() {
		if s.GetInterface() == "eth0" {
			return s
		}
	}
	return nil
}

func (n *network) peerReport(node string) *ingotv1.SegmentPeerReport {
	for _, p := range n.segment().GetPeers() {
		if p.GetNode() == node {
			return p
		}
	}
	return nil
}

func (n *network) witnessReport(address string) *ingotv1.WitnessReport {
	for _, w := range n.segment().GetWitnesses() {
		if w.GetAddress() == address {
			return w
		}
	}
	return nil
}

// until returns how long it takes until a condition holds.
func (n *network) until(most time.Duration, condition func() bool) time.Duration {
	n.t.Helper()
	started := time.Now()
	for !condition() {
		if time.Since(started) > most {
			n.t.Fatalf("not within %s", most)
		}
		n.pass(time.Millisecond)
	}
	return time.Since(started)
}

// fakeSession is a BFD session whose state the test says.
type fakeSession struct {
	key     bfd.Key
	changed func(bfd.Status)
	status  bfd.Status
	up      time.Duration
	closed  bool
	said    chan struct{}
}

func (n *network) open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error) {
	if n.refuse != nil {
		return nil, n.refuse
	}
	if p.TransmitInterval != 60*time.Millisecond || p.ReceiveInterval != 60*time.Millisecond || p.DetectMultiplier != 10 {
		return nil, fmt.Errorf("opened with %+v", p)
	}
	s := &fakeSession{key: k, changed: changed, status: bfd.Status{Key: k, State: bfd.Down}, said: make(chan struct{})}
	if n.up {
		s.status.State, s.status.RemoteState, s.status.Since = bfd.Up, bfd.Up, time.Now()
	}
	n.sessions[k.Remote] = s
	return s, nil
}

func (s *fakeSession) Retune(bfd.Parameters) error { return errors.New("not in this test") }

func (s *fakeSession) AdminDown() <-chan struct{} {
	s.status.State = bfd.AdminDown
	close(s.said)
	return s.said
}

func (s *fakeSession) Close()             { s.closed = true }
func (s *fakeSession) Status() bfd.Status { return s.status }

func (s *fakeSession) Heard() (last, up time.Duration) { return s.up, s.up }

// becomes has a session change its state.
func (s *fakeSession) becomes(state, remote bfd.State, failed bool) {
	s.status.State, s.status.RemoteState, s.status.Failed, s.status.Since = state, remote, failed, time.Now()
	s.changed(s.status)
	synctest.Wait()
}

// eth0 is a link with its addresses and gateways.
func eth0(change ...func(*links.Link)) []links.Link {
	l := links.Link{
		Index: 2, Name: "eth0", MAC: ourMAC, Enabled: true, Carrier: true, Up: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24"), netip.MustParsePrefix("fe80::1/64")},
	}
	for _, c := range change {
		c(&l)
	}
	return []links.Link{l}
}

// item is a segment with a peer by BFD, one that is asked, and a witness.
func item(change ...func(*ingotv1.Layer2Segment)) []*ingotv1.Layer2Segment {
	s := &ingotv1.Layer2Segment{
		Interface: "eth0", AskIntervalMs: 200, Witnesses: []string{"192.0.2.1"},
		Peers: []*ingotv1.SegmentPeer{
			{
				Node: "node2", LocalAddress: "192.0.2.11", RemoteAddress: "192.0.2.12", Mac: macs["192.0.2.12"].String(),
				Bfd: &ingotv1.BfdParameters{ReceiveIntervalMs: 60, TransmitIntervalMs: 60, DetectMultiplier: 10},
			},
			{Node: "node3", LocalAddress: "192.0.2.11", RemoteAddress: "192.0.2.13", Mac: macs["192.0.2.13"].String()},
		},
	}
	for _, c := range change {
		c(s)
	}
	return []*ingotv1.Layer2Segment{s}
}
