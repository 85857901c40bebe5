package bgp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/test/await"
)

// conversation is both ends of a TCP connection, ours checked.
func conversation(t *testing.T) (ours *checkedConn, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return check(dialled, time.Minute, func(fault) {}, new(atomic.Uint64)), accepted.(*net.TCPConn)
}

// TestTheLastWordIsHeard: a NOTIFICATION reaches a neighbour that is still sending, and only then the connection ends, which
// who reads from it here notices at once.
func TestTheLastWordIsHeard(t *testing.T) {
	t.Parallel()
	ours, theirs := conversation(t)
	ended := make(chan error, 1)
	go func() {
		_, err := ours.Read(make([]byte, 1))
		ended <- err
	}()
	word := notification(6, 1)
	if _, err := ours.Write(word); err != nil {
		t.Fatal(err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("there is still something to read")
	}
	if _, err := theirs.Write(make([]byte, 1<<20)); err != nil {
		t.Errorf("the neighbour could not send what it had: %v", err)
	}
	heard, err := io.ReadAll(theirs)
	if err != nil {
		t.Errorf("the neighbour reads: %v", err)
	}
	if diff := cmp.Diff(word, heard); diff != "" {
		t.Errorf("the neighbour heard (-want +got):\n%s", diff)
	}
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("to read again: %v; want that it is closed", err)
	}
}

// TestAConnectionEndsInTheEnd: whatever the neighbour does, and at once where there is no last word.
func TestAConnectionEndsInTheEnd(t *testing.T) {
	t.Parallel()
	for name, word := range map[string][]byte{"after a NOTIFICATION": notification(6, 1), "without": bytes.Repeat([]byte{0xff}, 19)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := conversation(t)
			if _, err := ours.Write(word); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := ours.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Fatal(err)
				}
			}
			await.True(t, "the neighbour cannot send any more", func() bool {
				_, err := theirs.Write(make([]byte, 1<<16))
				return err != nil
			})
		})
	}
}

// TestHangingUpIsSilent: the neighbour sees the end of the connection and nothing else, whatever gobgp says to that.
func TestHangingUpIsSilent(t *testing.T) {
	t.Parallel()
	ours, theirs := conversation(t)
	ours.hangUp()
	if _, err := ours.Write(notification(6, 3)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a NOTIFICATION could be written: %v", err)
	}
	heard, err := io.ReadAll(theirs)
	if err != nil || len(heard) > 0 {
		t.Errorf("the neighbour heard %x, error %v; want the end alone", heard, err)
	}
}

// TestThePathIsDownInItsOwnSubcode: the words that the library sends for it become the subcode of RFC 9384; others stay.
func TestThePathIsDownInItsOwnSubcode(t *testing.T) {
	t.Parallel()
	words := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	shut, reset := notification(6, 2, words("BFD Down")...), notification(6, 4, words("by hand")...)
	keepalive := openOf(64512, 90, "192.0.2.9")
	for _, tt := range []struct{ said, heard []byte }{
		{notification(6, 4, words(pathDownWords+" (control detection time expired)")...), notification(6, 10)},
		{shut, shut}, {reset, reset}, {notification(6, 4), notification(6, 4)}, {keepalive, keepalive},
	} {
		ours, theirs := conversation(t)
		if n, err := ours.Write(tt.said); err != nil || n != len(tt.said) {
			t.Errorf("%x: %d bytes were written, error %v", tt.said, n, err)
		}
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
		heard, err := io.ReadAll(theirs)
		if diff := cmp.Diff(tt.heard, heard); diff != "" || err != nil {
			t.Errorf("error %v, heard (-want +got):\n%s", err, diff)
		}
	}
}
