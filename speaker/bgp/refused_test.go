package bgp

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sys/unix"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// openOf is an OPEN message with whatever is wrong with it.
func openOf(asn uint16, hold uint16, id string, change ...func([]byte)) []byte {
	b, err := bgp.NewBGPOpenMessage(asn, hold, id, []bgp.OptionParameterInterface{
		bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(uint32(asn))}),
	}).Serialize()
	if err != nil {
		panic(err)
	}
	for _, c := range change {
		c(b)
	}
	return b
}

func notification(code, subcode uint8, data ...byte) []byte {
	b, err := bgp.NewBGPNotificationMessage(code, subcode, data).Serialize()
	if err != nil {
		panic(err)
	}
	return b
}

// answer is a neighbour that says this to everybody, and listens.
func answer(t *testing.T, address string, says ...[]byte) uint32 {
	t.Helper()
	return play(t, address, func(conn net.Conn) {
		for _, b := range says {
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, conn) // until the other end has enough
	})
}

// play has a neighbour do something with each connection, and returns its port.
func play(t *testing.T, address string, do func(net.Conn)) uint32 {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				do(conn)
			}()
		}
	}()
	return uint32(l.Addr().(*net.TCPAddr).Port)
}

// nobodys is a port where nobody listens, nor will while the test lasts.
func nobodys(t *testing.T, address string) uint32 {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(socket) })
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: netip.MustParseAddr(address).As4()}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(bound.(*unix.SockaddrInet4).Port)
}

// TestWhatIsWrongIsSaid: each neighbour fails in its own way, and is reported with the right NOTIFICATION and sender, while
// one that is well keeps its session.
func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	const us = "192.0.2.11"
	keepalive, err := bgp.NewBGPKeepAliveMessage().Serialize()
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 100_000)
	source := rand.NewChaCha8([32]byte{1})
	if _, err := source.Read(noise); err != nil {
		t.Fatal(err)
	}
	said := []byte("\x0fsee the runbook") // RFC 9003: length and text

	tests := []struct {
		name, address string
		port          uint32
		internal      bool
		code, subcode uint32
		received      bool
		words         string
	}{
		{name: "closed port", address: "127.0.3.1", port: nobodys(t, "127.0.3.1"), words: "connect: connection refused"},
		{name: "closes at once", address: "127.0.3.2", port: play(t, "127.0.3.2", func(net.Conn) {}), words: "the peer closed the connection before the session was established"},
		{name: "says nothing", address: "127.0.3.3", port: answer(t, "127.0.3.3"), words: "has sent no OPEN message for 5s"},
		{name: "does not hear us", address: "127.0.3.23", port: answer(t, "127.0.3.23", openOf(routerASN, 90, "192.0.2.9")),
			words: "has not answered ours for 5s, as when it demands TTL security (GTSM): ebgpMultiHop"},
		{name: "speaks HTTP", address: "127.0.3.4", port: answer(t, "127.0.3.4", []byte("HTTP/1.1 400 Bad Request\r\n\r\n")),
			code: 1, subcode: 1, words: "connection not synchronized (code 1, subcode 1): what the peer sent is no BGP message"},
		{name: "says a word", address: "127.0.3.24", port: answer(t, "127.0.3.24", []byte("hello\r\n")), code: 1, subcode: 1, words: "connection not synchronized"},
		{name: "sends noise", address: "127.0.3.18", port: answer(t, "127.0.3.18", noise), code: 1, subcode: 1, words: "connection not synchronized"},
		{name: "wrong marker", address: "127.0.3.19", port: answer(t, "127.0.3.19", openOf(routerASN, 90, "192.0.2.9", func(b []byte) { b[7] = 0 })),
			code: 1, subcode: 1, words: "connection not synchronized"},
		{name: "sends ones", address: "127.0.3.20", port: answer(t, "127.0.3.20", bytes.Repeat([]byte{0xff}, 100_000)), code: 1, subcode: 3, words: "bad message type"},
		{name: "bad length", address: "127.0.3.5", port: answer(t, "127.0.3.5", openOf(routerASN, 90, "192.0.2.9", func(b []byte) { b[16], b[17] = 0, 18 })),
			code: 1, subcode: 2, words: "message header error: bad message length"},
		{name: "bad type", address: "127.0.3.6", port: answer(t, "127.0.3.6", openOf(routerASN, 90, "192.0.2.9", func(b []byte) { b[18] = 77 })),
			code: 1, subcode: 3, words: "message header error: bad message type"},
		{name: "version 3", address: "127.0.3.7", port: answer(t, "127.0.3.7", openOf(routerASN, 90, "192.0.2.9", func(b []byte) { b[19] = 3 })),
			code: 2, subcode: 1, words: "OPEN message error: unsupported version number"},
		{name: "wrong AS", address: "127.0.3.8", port: answer(t, "127.0.3.8", openOf(64999, 90, "192.0.2.9")), code: 2, subcode: 2, words: "OPEN message error: bad peer AS"},
		{name: "same router ID", address: "127.0.3.9", internal: true, port: answer(t, "127.0.3.9", openOf(nodeASN, 90, us)),
			code: 2, subcode: 3, words: "OPEN message error: bad BGP identifier"},
		{name: "no router ID", address: "127.0.3.10", port: answer(t, "127.0.3.10", openOf(routerASN, 90, "0.0.0.0")),
			code: 2, subcode: 3, words: "OPEN message error: bad BGP identifier"},
		{name: "hold time 1", address: "127.0.3.11", port: answer(t, "127.0.3.11", openOf(routerASN, 1, "192.0.2.9")),
			code: 2, subcode: 6, words: "OPEN message error: unacceptable hold time"},
		{name: "no hold time", address: "127.0.3.25", port: answer(t, "127.0.3.25", openOf(routerASN, 0, "192.0.2.9")),
			code: 2, subcode: 6, words: "unacceptable hold time (code 2, subcode 6): the peer wants no hold time (it sent 0)"},
		{name: "refuses our AS", address: "127.0.3.12", port: answer(t, "127.0.3.12", openOf(routerASN, 90, "192.0.2.9"), notification(2, 2)),
			code: 2, subcode: 2, received: true, words: "the peer refused the session: OPEN message error: bad peer AS"},
		{name: "refuses us without a word of its own", address: "127.0.3.13", port: answer(t, "127.0.3.13", notification(6, 5)),
			code: 6, subcode: 5, received: true, words: "the peer refused the session: cease: connection rejected"},
		{name: "refuses a capability", address: "127.0.3.14", port: answer(t, "127.0.3.14", openOf(routerASN, 90, "192.0.2.9"), notification(2, 7, 64, 0)),
			code: 2, subcode: 7, received: true, words: "the peer refused the session: OPEN message error: unsupported capability"},
		{name: "is shut", address: "127.0.3.15", port: answer(t, "127.0.3.15", notification(6, 2, said...)),
			code: 6, subcode: 2, received: true, words: `the peer refused the session: cease: administrative shutdown (code 6, subcode 2): "see the runbook"`},
		{name: "begins with a KEEPALIVE", address: "127.0.3.16", port: answer(t, "127.0.3.16", keepalive),
			code: 5, subcode: 1, words: "finite state machine error: unexpected message in OpenSent"},
		{name: "says OPEN twice", address: "127.0.3.21", port: answer(t, "127.0.3.21", openOf(routerASN, 90, "192.0.2.9"), openOf(routerASN, 90, "192.0.2.9")),
			code: 5, subcode: 2, words: "finite state machine error: unexpected message in OpenConfirm"},
		{name: "says OPEN in the end", address: "127.0.3.22", port: answer(t, "127.0.3.22", openOf(routerASN, 90, "192.0.2.9"), keepalive, openOf(routerASN, 90, "192.0.2.9")),
			code: 5, subcode: 3, words: "finite state machine error: unexpected message in Established"},
		{name: "has no memory", address: "127.0.3.17", port: play(t, "127.0.3.17", func(conn net.Conn) {
			// As a router does that answers and closes.
			_, _ = conn.Write(notification(6, 8))
		}), code: 6, subcode: 8, received: true, words: "the peer refused the session: cease: out of resources"},
	}
	well := newStranger(t, "127.0.3.100", quiet)
	items := []*ingotv1.Item{well.session("well", "127.0.3.100")}
	for _, tt := range tests {
		items = append(items, sessionItem(tt.name, func(b *ingotv1.BgpSession) {
			b.Address, b.Port, b.MyAsn, b.PeerAsn, b.RouterId = tt.address, tt.port, nodeASN, routerASN, us
			if tt.internal {
				b.PeerAsn = nodeASN
			}
		}))
	}
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	s.Apply(t.Context(), items, false)
	t.Cleanup(func() { s.Apply(t.Context(), nil, false) })

	await.True(t, "the session with the neighbour that is well", func() bool { return stateIn(s, "well").GetState() == "Established" })
	since := stateIn(s, "well").GetSinceMs()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *ingotv1.SessionReport
			await.True(t, tt.words, func() bool {
				// One that goes wrong in the end is up until it has ended, and each time that it is tried again.
				got = stateIn(s, tt.name)
				return strings.Contains(got.GetLastError(), tt.words) && got.GetState() != "Established"
			})
			if got.GetLastErrorCode() != tt.code || got.GetLastErrorSubcode() != tt.subcode || got.GetLastErrorReceived() != tt.received {
				t.Errorf("last error %d/%d, received %t; want %d/%d, %t: %q", got.GetLastErrorCode(), got.GetLastErrorSubcode(), got.GetLastErrorReceived(),
					tt.code, tt.subcode, tt.received, got.GetLastError())
			}
			if tt.code == 1 {
				await.Success(t, "the message and the NOTIFICATION are counted", func() error {
					s.Refresh()
					if c := stateIn(s, tt.name).GetCounters(); c.GetNotificationsSent() == 0 || c.GetTotalSent() < c.GetNotificationsSent() || c.GetTotalReceived() == 0 {
						return fmt.Errorf("counters %v", c)
					}
					return nil
				})
			}
		})
	}
	if got := stateIn(s, "well"); got.GetState() != "Established" || got.GetSinceMs() != since {
		t.Errorf("the neighbour that is well lost its session: %v", got)
	}
}

// TestANeighbourThatTakesNothingIsGivenUp: it says that it lives, but does not read, so that what it shall know does not
// reach it. Nothing else waits for it.
func TestANeighbourThatTakesNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	stalls := play(t, "127.0.4.1", func(conn net.Conn) {
		tcp := conn.(*net.TCPConn)
		_ = tcp.SetReadBuffer(2048)
		keepalive, _ := bgp.NewBGPKeepAliveMessage().Serialize()
		if _, err := conn.Write(append(openOf(routerASN, 3, "192.0.2.9"), keepalive...)); err != nil {
			return
		}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range tick.C {
			if _, err := conn.Write(keepalive); err != nil {
				return
			}
		}
	})
	well := newStranger(t, "127.0.4.2", quiet)
	items := []*ingotv1.Item{
		sessionItem("stalls", func(b *ingotv1.BgpSession) {
			b.Address, b.Port, b.MyAsn, b.PeerAsn, b.HoldTimeMs = "127.0.4.1", stalls, nodeASN, routerASN, new(uint32(3000))
		}),
		well.session("well", "127.0.4.2"),
	}
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	t.Cleanup(func() { s.Apply(t.Context(), nil, false) })
	s.Apply(t.Context(), items, false)
	for _, peer := range []string{"stalls", "well"} {
		await.True(t, "the session with "+peer, func() bool { return stateIn(s, peer).GetState() == "Established" })
	}
	since := stateIn(s, "well").GetSinceMs()
	for i := range 4000 {
		items = append(items, routeItem("198.51."+itoa(i/250)+"."+itoa(i%250)+"/32", to("stalls", "well")))
	}
	began := time.Now()
	s.Apply(t.Context(), items, false)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("to apply took %s", took)
	}
	await.True(t, "the one that stalls is given up", func() bool { return stateIn(s, "stalls").GetCounters().GetLost() > 0 })
	if got := stateIn(s, "well"); got.GetState() != "Established" || got.GetSinceMs() != since || got.GetAdvertised() != 4000 {
		t.Errorf("the neighbour that is well: %v; want it up since %d, with 4000 routes", got, since)
	}
	if got := stateIn(s, "stalls").GetLastError(); got == "" {
		t.Error("no reason is given")
	}
}

func itoa(n int) string {
	return strings.TrimLeft(string([]byte{byte('0' + n/100), byte('0' + n/10%10)}), "0") + string(byte('0'+n%10))
}

// TestBackOff: a neighbour that ends every session early is tried again less and less often, but never seldom, and not by
// the clock.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, wires := newDrainingSpeaker()
		began := time.Now()
		s.Apply(t.Context(), []*ingotv1.Item{sessionItem("tor1")}, false)
		var gaps []time.Duration
		for range 40 {
			wires.take()
			wires.wires["tor1"].observe(transition{state: stateOpenSent})
			wires.wires["tor1"].observe(transition{state: stateIdle})
			last := time.Now()
			for len(wires.take()["tor1"]) < 1 || time.Since(last) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			gaps = append(gaps, time.Since(last))
		}
		early, late := time.Duration(0), time.Duration(0)
		for i, gap := range gaps {
			if gap > longestPause+time.Second {
				t.Errorf("pause %d is %s, the longest shall be %s", i, gap, longestPause)
			}
			if i < 3 {
				early += gap
			} else if i >= len(gaps)-20 {
				late += gap
			}
		}
		if early > 8*time.Second || late < 100*time.Second {
			t.Errorf("the first three pauses take %s and the last twenty %s; want them to grow: %v", early, late, gaps)
		}
		if time.Since(began) > 40*longestPause {
			t.Errorf("40 attempts took %s", time.Since(began))
		}
		s.Apply(t.Context(), nil, false)
	})
}

// TestWhyNobodyAnswers: a password on one side only, an address that nobody has, and another that is behind a router, against
// FRR, while the session beside them is up.
func TestWhyNobodyAnswers(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, slices.Concat(neighbour("NODE4", "64500"), neighbour("NODE6", "64500"))...)
	locked := newRouter(t, node, 2, routerASN, neighbour("NODE4", "64500", "password theirs")...)
	p := node.Start(t)
	p.Apply(t,
		external("well", r.address6),
		external("ours alone", r.address4, func(s *ingotv1.BgpSession) { s.Password = "ours" }),
		external("theirs alone", locked.address4),
		external("nobody", "10.77.1.99"),
		external("no route", "203.0.113.1"))
	before := up(t, p, "well")
	for peer, words := range map[string]string{
		"ours alone": "with one on one side only", "theirs alone": "with one on one side only",
		"nobody": "nobody on the link has the peer's address", "no route": "network is unreachable",
	} {
		says(t, p, peer, words)
	}
	if now := up(t, p, "well"); now.GetSinceMs() != before.GetSinceMs() {
		t.Errorf("the session beside them came up anew: %v, before %v", now, before)
	}
}

// TestARouterThatRefusesOurNumberIsQuoted, and one with our router ID in our AS.
func TestARouterThatRefusesOurNumberIsQuoted(t *testing.T) {
	t.Parallel()
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64999")...)
	same := newRouter(t, node, 2, nodeASN, append([]string{"bgp router-id 192.0.2.11"}, neighbour("NODE4", "64500")...)...)
	p := node.Start(t)
	p.Apply(t, external("tor", r.address4), external("twin", same.address4, func(s *ingotv1.BgpSession) { s.PeerAsn, s.RouterId = nodeASN, "192.0.2.11" }))
	for peer, want := range map[string]struct {
		subcode  uint32
		received bool
	}{"tor": {2, true}, "twin": {3, false}} {
		reported(t, p, peer, func(s *ingotv1.SessionReport) bool {
			// Either side may be the first to see that the router IDs are the same.
			return s.GetLastErrorCode() == 2 && s.GetLastErrorSubcode() == want.subcode && (s.GetLastErrorReceived() == want.received || peer == "twin")
		})
	}
}
