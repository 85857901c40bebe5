package l2

import (
	"net/netip"
	"testing"

	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

var (
	theirs = ownership.MAC{0x52, 0x54, 0, 0, 0, 2}
	vip    = netip.MustParseAddr("192.0.2.10")
	host   = netip.MustParseAddr("192.0.2.99")
)

func TestTheOldestAskerIsForgotten(t *testing.T) {
	var a askers
	address := netip.MustParseAddr("10.0.0.1")
	first, faithful := address, netip.MustParseAddr("10.9.9.9")
	for range maxAskers + 10 {
		a.note("eth0", frame.Message{SenderMAC: theirs, Sender: address})
		address = address.Next()
		a.note("eth0", frame.Message{SenderMAC: theirs, Sender: faithful})
	}
	if _, ok := a.seen[askerKey{"eth0", faithful}]; !ok {
		t.Errorf("%s, which asks all the time, is forgotten", faithful)
	}
	if len(a.seen) != maxAskers {
		t.Errorf("%d hosts are remembered, want %d", len(a.seen), maxAskers)
	}
	if a.order.Len() != len(a.seen) {
		t.Errorf("%d hosts are in order, and %d are known", a.order.Len(), len(a.seen))
	}
	if _, ok := a.seen[askerKey{"eth0", first}]; ok {
		t.Errorf("%s, silent for longest, is remembered", first)
	}
}
