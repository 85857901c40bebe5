package l2

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

var (
	ours   = ownership.MAC{0x52, 0x54, 0, 0, 0, 1}
	theirs = ownership.MAC{0x52, 0x54, 0, 0, 0, 2}
	vip    = netip.MustParseAddr("192.0.2.10")
	host   = netip.MustParseAddr("192.0.2.99")
	byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func TestFramesAreReadAsTheyWereMade(t *testing.T) {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	gratuitous, err := announcements(ours, vip)
	if err != nil {
		t.Fatal(err)
	}
	zero := netip.IPv4Unspecified()
	tests := map[string]struct {
		frame []byte
		want  message
	}{
		"answer":                 {must(answer(ours, vip, message{senderMAC: theirs, senderIP: host})), message{theirs, arp.OperationReply, ours, vip, host}},
		"probe":                  {must(probe(ours, vip)), message{broadcast, arp.OperationRequest, ours, zero, vip}},
		"announcement":           {gratuitous[0], message{broadcast, arp.OperationRequest, ours, vip, vip}},
		"announcement, as reply": {gratuitous[1], message{broadcast, arp.OperationReply, ours, vip, vip}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := parse(tt.frame)
			if !ok {
				t.Fatalf("not understood: %x", tt.frame)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(message{}), byAddr); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	f, err := probe(ours, vip)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { parse(f) }); n != 0 {
		t.Errorf("%v allocations a packet, want none", n)
	}
}

// FuzzParse compares with mdlayher/arp's slower parser.
func FuzzParse(f *testing.F) {
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return probe(ours, vip) },
		func() ([]byte, error) { return answer(ours, vip, message{senderMAC: theirs, senderIP: host}) },
	} {
		b, err := make()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:frameLen-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parse(b)
		if !ok {
			return
		}
		var frame ethernet.Frame
		var packet arp.Packet
		if err := frame.UnmarshalBinary(b); err != nil {
			t.Fatalf("understood what is no frame: %v", err)
		}
		if err := packet.UnmarshalBinary(frame.Payload); err != nil {
			t.Fatalf("understood what is no ARP packet: %v", err)
		}
		want := message{
			destination: ownership.MAC(frame.Destination), operation: packet.Operation,
			senderMAC: ownership.MAC(packet.SenderHardwareAddr), senderIP: packet.SenderIP, targetIP: packet.TargetIP,
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{}), byAddr); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}

func TestTheOldestAskerIsForgotten(t *testing.T) {
	var a askers
	address := netip.MustParseAddr("10.0.0.1")
	first := address
	for range maxAskers + 10 {
		a.note("eth0", message{senderMAC: theirs, senderIP: address})
		address = address.Next()
	}
	if len(a.seen) != maxAskers {
		t.Errorf("%d hosts are remembered, want %d", len(a.seen), maxAskers)
	}
	if _, ok := a.seen[askerKey{"eth0", first}]; ok {
		t.Errorf("%s, silent for longest, is remembered", first)
	}
}
