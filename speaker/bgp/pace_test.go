package bgp

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestAnAttemptThatIsRefusedIsFollowedByAPauseAndALostSessionIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires, _ := newTestSpeaker(t)
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1")}, false)
		w := wires.wires["tor1"]
		wires.take()

		// A neighbour that refuses: the bound of the pause doubles each time.
		for attempt := range 8 {
			w.observe(transition{state: stateOpenSent})
			w.observe(transition{state: stateIdle})
			if diff := cmp.Diff(map[string][]string{"tor1": {"disconnect"}}, wires.take()); diff != "" {
				t.Fatalf("attempt %d (-want +got):\n%s", attempt, diff)
			}
			time.Sleep(min(firstPause<<attempt, longestPause))
			synctest.Wait()
			if diff := cmp.Diff(map[string][]string{"tor1": {"connect restarting=false"}}, wires.take()); diff != "" {
				t.Fatalf("after the pause of attempt %d (-want +got):\n%s", attempt, diff)
			}
		}

		// A session that lasted is tried again at once, and begins with short pauses again.
		w.observe(transition{state: stateEstablished, peerASN: 64512})
		time.Sleep(stableAfter)
		w.observe(transition{state: stateIdle})
		if diff := cmp.Diff(map[string][]string{"tor1": {"disconnect", "connect restarting=false"}}, wires.take()); diff != "" {
			t.Errorf("after a loss (-want +got):\n%s", diff)
		}
		w.observe(transition{state: stateEstablished, peerASN: 64512})
		w.observe(transition{state: stateIdle})
		wires.take()
		time.Sleep(firstPause)
		synctest.Wait()
		if diff := cmp.Diff(map[string][]string{"tor1": {"connect restarting=false"}}, wires.take()); diff != "" {
			t.Errorf("after a session that did not last (-want +got):\n%s", diff)
		}
		s.Apply(t.Context(), nil, false) // ends the timers
	})
}

func TestALinkLocalNeighbourIsFollowed(t *testing.T) {
	s, wires, n := newTestSpeaker(t)
	at := func(address, device string, index int) way {
		return way{address: netip.MustParseAddr(address), device: device, index: index, local: netip.MustParseAddr("fe80::11")}
	}
	n.fail = errors.New("no router is heard on interface eth1 (yet)")
	results := s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1", func(s *ingotv1.BgpSession) { s.Address, s.Interface = "", "eth1" }), routeItem("2001:db8::1/128", to("tor1"))}, false)
	for _, r := range results {
		if r.GetStatus() != ingotv1.ItemResult_STATUS_PENDING {
			t.Errorf("%v, want it pending", r)
		}
	}
	wires.take()

	for _, tt := range []struct {
		name string
		way  way
		want []string
	}{
		{"found", at("fe80::1", "eth1", 2), []string{"add 2001:db8::1/128 via fe80::11 communities []", "connect restarting=false"}},
		{"as before", at("fe80::1", "eth1", 2), nil},
		{"another address", at("fe80::2", "eth1", 2), []string{"disconnect", "connect restarting=false"}},
		{"another device of that name", at("fe80::2", "eth1", 7), []string{"disconnect", "connect restarting=false"}},
		{"gone", way{}, []string{"remove 2001:db8::1/128", "disconnect"}},
	} {
		n.mu.Lock()
		n.way, n.fail = egress{way: tt.way, local: tt.way.local}, nil
		if !tt.way.address.IsValid() {
			n.fail = errors.New("interface eth1 is down")
		}
		n.mu.Unlock()
		s.refresh()
		if diff := cmp.Diff(tt.want, wires.take()["tor1"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if got := wires.wires["tor1"].to.way; tt.way.address.IsValid() && got != tt.way {
			t.Errorf("%s: connected by %+v, want %+v", tt.name, got, tt.way)
		}
	}
	s.Apply(t.Context(), nil, false) // ends the timers
}

func TestTheConnectTimeIsThatOfGobgp(t *testing.T) {
	cfg, err := parseSession(plain(func(s *ingotv1.BgpSession) { s.ConnectTimeMs = proto.Uint32(7000) }))
	if err != nil {
		t.Fatal(err)
	}
	peer := encodePeer(cfg, target{way: way{address: cfg.address}, peerASN: cfg.peerASN, connectRetry: cfg.connectRetry}, false, 10)
	if got := peer.GetTimers().GetConfig().GetConnectRetry(); got != 7 {
		t.Errorf("connect retry %d s, want 7", got)
	}
}
