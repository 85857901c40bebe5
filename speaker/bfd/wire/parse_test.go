package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// message makes a control message of words.
func message(level, kind int32, words []int32) []byte {
	b := make([]byte, unix.CmsgSpace(4*len(words)))
	length := unix.CmsgLen(4 * len(words))
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(b, uint64(length))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(length))
	}
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(kind))
	for i, w := range words {
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(4*i):], uint32(w))
	}
	return b
}

func TestParseAncillary(t *testing.T) {
	address := func(a string) []int32 {
		b := netip.MustParseAddr(a).AsSlice()
		words := make([]int32, len(b)/4)
		for i := range words {
			words[i] = int32(binary.NativeEndian.Uint32(b[4*i:]))
		}
		return words
	}
	tests := []struct {
		name     string
		messages [][]byte
		want     ancillary
	}{
		{"nothing", nil, ancillary{ttl: -1}},
		{"IPv4", [][]byte{
			message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, []int32{3, 0, 7, 0}),
			message(unix.IPPROTO_IP, unix.IP_TTL, []int32{255}),
			message(unix.IPPROTO_IP, unix.IP_PKTINFO, append(append([]int32{4}, address("192.0.2.9")...), address("192.0.2.1")...)),
		}, ancillary{netip.MustParseAddr("192.0.2.1"), 4, 255, 3e9 + 7}},
		{"IPv6", [][]byte{
			message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(address("fe80::1"), 9)),
			message(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, []int32{64}),
		}, ancillary{netip.MustParseAddr("fe80::1"), 9, 64, 0}},
		{"others between", [][]byte{
			message(unix.SOL_SOCKET, unix.SCM_RIGHTS, []int32{1, 2, 3}),
			message(unix.IPPROTO_IP, unix.IP_TTL, []int32{1}),
		}, ancillary{ttl: 1}},
		{"too short", [][]byte{
			message(unix.IPPROTO_IP, unix.IP_PKTINFO, []int32{4}),
			message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, []int32{4}),
			message(unix.IPPROTO_IP, unix.IP_TTL, nil),
			message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, []int32{3}),
		}, ancillary{ttl: -1}},
	}
	for _, tt := range tests {
		got := parseAncillary(bytes.Join(tt.messages, nil))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(ancillary{}), compareAddresses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzParseAncillary(f *testing.F) {
	f.Add(message(unix.IPPROTO_IP, unix.IP_TTL, []int32{255}))
	f.Add(message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, []int32{1, 2, 3, 4, 5}))
	f.Add(message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, []int32{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseAncillary(b)
		if a.destination.IsValid() && len(b) < unix.SizeofInet4Pktinfo {
			t.Errorf("%d bytes have an address, %v", len(b), a.destination)
		}
	})
}

func FuzzGetEcho(f *testing.F) {
	local := netip.MustParseAddr("192.0.2.1")
	var buffer [payloadSize]byte
	for _, payload := range []string{"", "x", "some payload", string(make([]byte, echoPayload))} {
		f.Add(putEcho(buffer[:], local, []byte(payload)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, local, _, ok := getEcho(b)
		if !ok || len(payload) > echoPayload {
			return
		}
		again, local2, ttl, ok := getEcho(putEcho(make([]byte, payloadSize), local, payload))
		if !ok || !bytes.Equal(again, payload) || local2 != local || ttl != 255 {
			t.Errorf("%q from %v becomes %q from %v (%v)", payload, local, again, local2, ok)
		}
	})
}

// TestEchoPacketIsChecked changes each bit of a packet: only those that forwarding may change, together with the
// checksum of the header, are of no importance.
func TestEchoPacketIsChecked(t *testing.T) {
	var buffer [payloadSize]byte
	packet := putEcho(buffer[:], netip.MustParseAddr("192.0.2.1"), []byte("some payload"))
	if _, _, _, ok := getEcho(packet); !ok {
		t.Fatal("the packet itself is not taken")
	}
	for i := range len(packet) * 8 {
		changed := bytes.Clone(packet)
		changed[i/8] ^= 1 << (i % 8)
		sourcePort := i/8 == ipHeader || i/8 == ipHeader+1
		if _, _, _, ok := getEcho(changed); ok {
			t.Errorf("bit %d of byte %d can be changed (source port: %v)", i%8, i/8, sourcePort)
		}
	}
	padded := append(bytes.Clone(packet), make([]byte, 6)...)
	if payload, _, _, ok := getEcho(padded); !ok || string(payload) != "some payload" {
		t.Errorf("in a padded frame: %q, %v", payload, ok)
	}
}

func TestArrival(t *testing.T) {
	now := time.Now()
	empty := now.Add(-300 * time.Millisecond)
	ago := func(d time.Duration) int64 { return now.UnixNano() - int64(d) }
	tests := []struct {
		name  string
		stamp int64
		want  time.Time
	}{
		{"a moment ago", ago(20 * time.Millisecond), now.Add(-20 * time.Millisecond)},
		{"no stamp", 0, now},
		{"the wall clock was set back after the packet came", ago(-time.Hour), now},
		{"the wall clock was set forward after the packet came", ago(time.Hour), empty},
	}
	for _, tt := range tests {
		if got := arrival(now, empty, tt.stamp); !got.Equal(tt.want) {
			t.Errorf("%s: %v before the reading, want %v", tt.name, now.Sub(got), now.Sub(tt.want))
		}
	}
}
