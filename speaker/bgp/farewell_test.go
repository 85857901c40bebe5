package bgp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/test/await"
)

// conversation is both ends of a TCP connection, ours checked.
func conversation(t *testing.T) (ours net.Conn, theirs *net.TCPConn) {
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
	return check(dialled, time.Minute, func(fault) {}), accepted.(*net.TCPConn)
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
