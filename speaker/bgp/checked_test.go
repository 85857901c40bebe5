package bgp

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// recorded is a connection on which everything has arrived.
type recorded struct {
	net.Conn // for what is not used
	arrived  *bytes.Reader
	sent     bytes.Buffer
}

func (r *recorded) Read(b []byte) (int, error)       { return r.arrived.Read(b) }
func (r *recorded) Write(b []byte) (int, error)      { return r.sent.Write(b) }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }

// FuzzChecked: what gobgp gets to read is a prefix of what came, in whole messages with a header that it can take; what is
// not fit to be read is answered with one NOTIFICATION, and said.
func FuzzChecked(f *testing.F) {
	keepalive, err := bgp.NewBGPKeepAliveMessage().Serialize()
	if err != nil {
		f.Fatal(err)
	}
	open := openOf(64512, 90, "192.0.2.9")
	f.Add(open)
	f.Add(append(bytes.Clone(open), keepalive...))
	f.Add(append(bytes.Clone(open), notification(2, 7, 64, 0)...))
	f.Add(openOf(64512, 90, "192.0.2.9", func(b []byte) { b[18] = 77 }))
	f.Add(openOf(64512, 90, "192.0.2.9", func(b []byte) { b[17] = 18 }))
	f.Add(openOf(64512, 90, "192.0.2.9", func(b []byte) { b[28] = 255 }))
	f.Add(append(bytes.Clone(keepalive[:18]), 2, 0, 0))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add([]byte("hello\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		conn := &recorded{arrived: bytes.NewReader(input)}
		var faults []fault
		c := check(conn, time.Minute, func(f fault) { faults = append(faults, f) }, new(atomic.Uint64))
		got, err := io.ReadAll(c)
		if !bytes.HasPrefix(input, got) {
			t.Fatalf("%x was read of %x", got, input)
		}
		for rest := got; len(rest) > 0; {
			length := int(binary.BigEndian.Uint16(rest[16:]))
			if length > len(rest) || rest[18] < 1 || rest[18] > 5 {
				t.Fatalf("not a whole message of a known type: %x", rest)
			}
			rest = rest[length:]
		}
		if err == errUnfit && (conn.sent.Len() < 21 || len(faults) == 0 || faults[len(faults)-1].code != 1) {
			t.Fatalf("unfit, and answered with %x, and said to be %v", conn.sent.Bytes(), faults)
		}
		if rest := input[len(got):]; err == nil && !marked(rest[:min(len(rest), 16)]) {
			t.Fatalf("%x was waited for", rest)
		}
		if err == nil && len(got) < len(input) && conn.sent.Len() > 0 {
			t.Fatalf("the end of the connection was answered with %x", conn.sent.Bytes())
		}
	})
}
