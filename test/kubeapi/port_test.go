package kubeapi

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAHeldPortIsOurs: nobody listens on it, again and again, but those who share it.
func TestAHeldPortIsOurs(t *testing.T) {
	held, err := holdPort()
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(held.number))
	if l, err := net.Listen("tcp", address); err == nil {
		l.Close()
		t.Error("somebody else listens on it")
	}
	sharing := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if failed != nil {
			return failed
		}
		return err
	}}
	for range 2 {
		l, err := sharing.Listen(context.Background(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
		client.Close()
		l.Close()
	}
}
