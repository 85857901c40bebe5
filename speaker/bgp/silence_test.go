package bgp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestTheHintOutlivesSymptoms: a neighbour that did not answer our OPEN, and then refuses connections since it still waits on
// the first, is shown with what may be the cause, until there is a session.
func TestTheHintOutlivesSymptoms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1")}, false)
		tor := wires.wires["tor1"]
		lastError := func() string { return stateIn(s, "tor1").GetLastError() }
		const hint = "as when it demands TTL security (GTSM): ebgpMultiHop"

		tor.observe(transition{state: stateOpenSent})
		time.Sleep(silentAfter - time.Second)
		tor.observe(transition{state: stateOpenConfirm})
		time.Sleep(silentAfter - time.Second)
		if got := lastError(); got != "" {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(2 * time.Second)
		if got := lastError(); !strings.Contains(got, "has not answered ours for 5s, "+hint) {
			t.Errorf("after 5 s: %q", got)
		}
		time.Sleep(silentUntil)
		tor.fault(fault{words: "the peer closed the connection before the session was established", vague: true})
		if got := lastError(); !strings.HasPrefix(got, "the peer closed the connection") || !strings.Contains(got, hint) {
			t.Errorf("of another connection: %q", got)
		}
		tor.observe(transition{state: stateEstablished, peerASN: 64512})
		time.Sleep(time.Minute)
		tor.fault(fault{words: "the connection was lost", vague: true})
		if got := lastError(); got != "the connection was lost" {
			t.Errorf("after a session: %q", got)
		}
		s.Apply(t.Context(), nil, false)
	})
}
