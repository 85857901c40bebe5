package bgp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/logging"
)

// TestTheLogTellsOfSessions reads real log lines: those that users of MetalLB search for, on transitions only.
func TestTheLogTellsOfSessions(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	var out bytes.Buffer
	var level slog.LevelVar
	s.log = logging.New(&out, &level)
	items := []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2"), routeItem("198.51.100.1/32", to("tor1"))}
	s.Apply(t.Context(), items, false)
	w := wires.wires["tor1"]
	up := transition{state: stateEstablished, peerASN: 64512}
	w.observe(up)
	w.observe(up)
	s.Apply(t.Context(), items, false)
	w.fault(fault{words: "hold timer expired (code 4, subcode 0)", code: 4})
	w.observe(transition{state: stateIdle})
	w.observe(transition{state: stateActive})
	for range 3 {
		w.fault(fault{words: "connect: connection refused"})
	}
	s.Explain(map[string]string{"bgp-session/tor1": "filteredByNodeSelector: BGPPeer tor1 is no longer for this node"})
	s.Apply(t.Context(), nil, false)

	lines := map[string][]string{}
	for line := range strings.Lines(out.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range []string{"ts", "level", "caller", "peer", "localASN", "peerASN"} {
			if l[key] == nil {
				t.Errorf("no %s in %s", key, line)
			}
		}
		text := fmt.Sprint(l["msg"])
		for _, key := range []string{"event", "op", "error", "reason", "numAds"} {
			if l[key] != nil {
				text += fmt.Sprintf(" %s=%v", key, l[key])
			}
		}
		peer := fmt.Sprint(l["peer"])
		lines[peer] = append(lines[peer], text)
	}
	want := map[string][]string{
		"tor1": {
			"making advertisements using BGP event=updatedAdvertisements numAds=1",
			"peer configured, starting BGP session event=peerAdded",
			"BGP session established event=sessionUp",
			"BGP session down event=sessionDown error=hold timer expired (code 4, subcode 0)",
			"failed to connect to peer op=connect error=connection refused",
			"peer deconfigured, closing BGP session event=peerRemoved reason=filteredByNodeSelector",
		},
		"tor2": {
			"peer configured, starting BGP session event=peerAdded",
			"peer deconfigured, closing BGP session event=peerRemoved reason=removedFromConfig",
		},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestCountersGoOnWhereParametersChange(t *testing.T) {
	s, wires, _ := newTestSpeaker(t)
	hold := func(ms uint32) func(*ingotv1.BgpSession) {
		return func(b *ingotv1.BgpSession) { b.HoldTimeMs = &ms }
	}
	opens := func(want uint64, established uint64) {
		t.Helper()
		s.Refresh()
		for _, session := range s.list() {
			session.count(0)
		}
		var report ingotv1.Report
		s.Report(&report)
		if got := report.GetSessions()[0].GetCounters(); got.GetOpensSent() != want || got.GetEstablished() != established || got.GetPrefixesRefused() != 0 {
			t.Errorf("got %v, want %d OPENs and %d times established", got, want, established)
		}
	}
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", hold(9000))}, false)
	wires.wires["tor1"].observe(transition{state: stateEstablished})
	wires.wires["tor1"].sent = counters{opensSent: 2, totalSent: 5}
	opens(2, 1)

	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", hold(30000))}, false)
	wires.wires["tor1"].sent = counters{opensSent: 1}
	opens(3, 1)

	elsewhere := func(b *ingotv1.BgpSession) { b.Address = "192.0.2.77" }
	s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", hold(30000), elsewhere)}, false)
	opens(0, 0)
}

// TestASessionIsShownWithWhatWasNegotiated, or not at all: whoever looks at a moment that is awkward sees nothing that is not
// so. The counters have the sessions that were shown.
func TestASessionIsShownWithWhatWasNegotiated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires, n := newTestSpeaker(t)
		at := func(index int) egress {
			own := netip.MustParseAddr("fe80::11")
			return egress{way: way{address: netip.MustParseAddr("fe80::1"), device: "eth1", index: index, local: own}, local: own}
		}
		n.way = at(1)
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", over("eth1"))}, false)
		w := wires.wires["tor1"]
		w.extended = true
		up := transition{state: stateEstablished, peerASN: 64512}
		expect := func(when string, established bool, times, lost uint64) {
			t.Helper()
			got := s.States()[0]
			if is := got.GetState() == string(stateEstablished); is != established || is != (got.GetHoldTimeMs() == 9000) || len(got.GetNotices()) > 0 {
				t.Errorf("%s: %v", when, got)
			}
			if c := got.GetCounters(); c.GetEstablished() != times || c.GetLost() != lost {
				t.Errorf("%s: established %d times and lost %d times, want %d and %d", when, c.GetEstablished(), c.GetLost(), times, lost)
			}
		}

		w.asked = func() error { expect("before it is known what was negotiated", false, 0, 0); return nil }
		w.observe(up)
		expect("then", true, 1, 0)

		w.asked = func() error { expect("on another link", false, 1, 1); return nil }
		n.mu.Lock()
		n.way = at(2)
		n.mu.Unlock()
		s.refresh()
		expect("when the way is another one", false, 1, 1)
		w.observe(up)
		expect("by that way", true, 2, 1)

		w.observe(transition{state: stateIdle})
		expect("when it is lost", false, 2, 2)
		time.Sleep(longestPause) // until it is tried again
		w.asked = func() error { return errNoSession }
		w.observe(transition{state: stateOpenConfirm})
		w.observe(up)
		expect("when it ended before it could be asked what was negotiated", false, 2, 2)
		s.Apply(t.Context(), nil, false) // ends the timers
	})
}
