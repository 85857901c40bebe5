package bgp

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// stranger is a neighbour that knows how to begin a session, and then does as its test says.
type stranger struct {
	net.Listener
	port     uint32
	sessions atomic.Int32
	// got are the types of messages received, and of a NOTIFICATION its code and subcode.
	got chan [3]byte
}

// newStranger runs play on each connection, once the session is established.
func newStranger(t *testing.T, address string, play func(net.Conn)) *stranger {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return newStrangerOn(t, l, play)
}

// newStrangerOn is newStranger with a listener for TCP.
func newStrangerOn(t *testing.T, l net.Listener, play func(net.Conn)) *stranger {
	t.Helper()
	s := &stranger{Listener: l, port: uint32(l.Addr().(*net.TCPAddr).Port), got: make(chan [3]byte, 4096)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, play)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return s
}

func (s *stranger) serve(conn net.Conn, play func(net.Conn)) {
	defer conn.Close()
	open := bgp.NewBGPOpenMessage(routerASN, 90, "192.0.2.99", []bgp.OptionParameterInterface{
		bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(routerASN)}),
	})
	for _, m := range []*bgp.BGPMessage{open, bgp.NewBGPKeepAliveMessage()} {
		b, err := m.Serialize()
		if err != nil {
			return
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
	established := false
	header := make([]byte, bgp.BGP_HEADER_LENGTH)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		body := make([]byte, max(int(binary.BigEndian.Uint16(header[16:]))-len(header), 0))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		note := [3]byte{header[18]}
		if header[18] == bgp.BGP_MSG_NOTIFICATION && len(body) >= 2 {
			note[1], note[2] = body[0], body[1]
		}
		select {
		case s.got <- note:
		default:
		}
		if header[18] == bgp.BGP_MSG_KEEPALIVE && !established {
			established = true
			s.sessions.Add(1)
			go play(conn)
		}
	}
}

func (s *stranger) session(peer, address string) *ingotv1.Item {
	return sessionItem(peer, func(b *ingotv1.BgpSession) {
		b.Address, b.Port, b.MyAsn, b.PeerAsn, b.HoldTimeMs = address, s.port, nodeASN, routerASN, proto.Uint32(90000)
	})
}

// isUp waits until a session is established for either side, and was once.
func (s *stranger) isUp(t *testing.T, speaker *Speaker, peer string) {
	t.Helper()
	netns.Eventually(t, patience, func() error {
		// The stranger hears from us a moment later than we from it.
		if got := stateIn(speaker, peer); got.GetState() != "Established" || s.sessions.Load() == 0 {
			return fmt.Errorf("%d sessions: %v", s.sessions.Load(), got)
		}
		return nil
	})
	if n := s.sessions.Load(); n != 1 {
		t.Errorf("the session with %s was established %d times, want once", peer, n)
	}
}

func stateIn(s *Speaker, peer string) *ingotv1.SessionReport {
	var report ingotv1.Report
	s.Report(&report)
	for _, session := range report.GetSessions() {
		if session.GetPeer() == peer {
			return session
		}
	}
	return &ingotv1.SessionReport{}
}

func quiet(net.Conn) {}

// flood sends n prefixes, 500 in a message.
func flood(n int) func(net.Conn) {
	return func(conn net.Conn) {
		attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), bgp.NewPathAttributeNextHop("127.0.0.2"),
			bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{routerASN, 64999})})}
		for at := 0; at < n; at += 500 {
			var prefixes []*bgp.IPAddrPrefix
			for i := at; i < min(at+500, n); i++ {
				prefixes = append(prefixes, bgp.NewIPAddrPrefix(32, netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}).String()))
			}
			b, err := bgp.NewBGPUpdateMessage(nil, attrs, prefixes).Serialize()
			if err != nil {
				return
			}
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAPeerThatSendsTooMuchIsClosed: 100,000 prefixes cost it its session, us little memory, and nobody else anything.
func TestAPeerThatSendsTooMuchIsClosed(t *testing.T) {
	hostile, calm := newStranger(t, "127.0.0.2", flood(100_000)), newStranger(t, "127.0.0.3", flood(5000))
	s := New(Options{Node: "node1", Log: slog.New(slog.DiscardHandler)})
	route := routeItem("198.51.100.1/32", to("hostile", "calm"))
	before := heapNow()
	s.Apply(t.Context(), []*ingotv1.Item{hostile.session("hostile", "127.0.0.2"), calm.session("calm", "127.0.0.3"), route}, false)
	t.Cleanup(func() { s.Apply(t.Context(), nil, false) })

	// gobgp goes through all that has come, which is a minute's work where this process gets a tenth of a processor.
	netns.Eventually(t, 5*patience, func() error {
		got := stateIn(s, "hostile")
		if got.GetState() != "Idle" || got.GetLastErrorCode() != 6 || got.GetLastErrorSubcode() != 1 || got.GetLastErrorReceived() ||
			got.GetLastError() != "the peer sent more than 10000 prefixes of one family" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	netns.Eventually(t, patience, func() error {
		for {
			select {
			case m := <-hostile.got:
				if m == [3]byte{bgp.BGP_MSG_NOTIFICATION, 6, 1} {
					return nil
				}
			default:
				return fmt.Errorf("the peer has not been told why")
			}
		}
	})
	calm.isUp(t, s, "calm")
	after := heapNow()
	t.Logf("heap %d KiB before, %d KiB after", before>>10, after>>10)
	if after > before+32<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if n := hostile.sessions.Load(); n != 1 {
		t.Errorf("%d sessions with the hostile peer, want one", n)
	}
}

// TestOddUpdates: whatever a neighbour sends on an established session, the speaker lives, says what was wrong where that
// ended the session, and does not let another session suffer.
func TestOddUpdates(t *testing.T) {
	message := func(kind byte, body ...byte) []byte {
		b := make([]byte, 19, 19+len(body))
		for i := range 16 {
			b[i] = 0xff
		}
		binary.BigEndian.PutUint16(b[16:], uint16(19+len(body)))
		b[18] = kind
		return append(b, body...)
	}
	huge := message(bgp.BGP_MSG_UPDATE)
	binary.BigEndian.PutUint16(huge[16:], 65535)
	var storm []byte
	for range 2000 {
		storm = append(storm, message(bgp.BGP_MSG_ROUTE_REFRESH, 0, 1, 0, 1)...)
	}
	for _, tt := range []struct {
		name string
		send []byte
		code uint32 // of the error; 0: the session stays
		// messages are how many there are, where the session stays; before come an OPEN and a KEEPALIVE.
		messages uint64
	}{
		{"no BGP", []byte("GET / HTTP/1.1\r\nHost: node1\r\n\r\n"), 1, 0},
		{"a type that nobody knows", message(77), 1, 0},
		{"an unknown message", message(77, 1, 2, 3), 1, 0},
		{"the beginning of a message of 64 KiB", huge, 1, 0},
		{"a message that is shorter than its header", append(huge[:16:16], 0, 1, 2), 1, 0},
		{"lengths that do not add up", message(bgp.BGP_MSG_UPDATE, 0xff, 0xff, 0, 0), 3, 0},
		{"an attribute that nobody knows", message(bgp.BGP_MSG_UPDATE, 0, 0, 0, 4, 0xc0, 250, 1, 9), 0, 1},
		{"a storm of route refreshes", storm, 0, 2000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			odd := newStranger(t, "127.0.0.2", func(c net.Conn) { c.Write(tt.send) })
			calm := newStranger(t, "127.0.0.3", quiet)
			s := New(Options{Node: "node1", Log: slog.New(slog.DiscardHandler)})
			s.Apply(t.Context(), []*ingotv1.Item{odd.session("odd", "127.0.0.2"), calm.session("calm", "127.0.0.3"), routeItem("198.51.100.1/32", to("odd", "calm"))}, false)
			t.Cleanup(func() { s.Apply(t.Context(), nil, false) })
			netns.Eventually(t, patience, func() error {
				s.Refresh()
				got := stateIn(s, "odd")
				if tt.code == 0 && got.GetCounters().GetTotalReceived() < tt.messages+2 || tt.code != 0 && (got.GetLastErrorCode() != tt.code || got.GetLastErrorReceived()) {
					return fmt.Errorf("%v", got)
				}
				return nil
			})
			if tt.code == 0 {
				odd.isUp(t, s, "odd")
			}
			calm.isUp(t, s, "calm")
		})
	}
}
