package loopback

import (
	"net"
	"net/netip"
	"testing"
)

// TestAddress is one that can be listened at, and at which no connection begins.
func TestAddress(t *testing.T) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(Address(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if from := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); from != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("a connection to %v begins at %v", Address(), from)
	}
}
