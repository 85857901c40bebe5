package frame

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// FuzzParse compares with the slower parsers of mdlayher/arp and mdlayher/ndp, and with the kernel's filter, which must let
// through whatever is understood.
func FuzzParse(f *testing.F) {
	for _, text := range []string{arpRequest, arpUnicastRequest, arpProbe, arpReply, nsMulticast, nsUnicast, nsProbe, naUnicast, naMulticast} {
		b := summed(received(f, text, "0000"))
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, make([]byte, 18)...))
	}
	filters := make(map[bool]*bpf.VM)
	for v6, fields := range map[bool][]field{false: arpFields, true: ndpFields} {
		vm, err := bpf.NewVM(match(fields))
		if err != nil {
			f.Fatal(err)
		}
		filters[v6] = vm
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		// The checksum is the hardest part to hit by chance.
		for _, b := range [][]byte{b, summed(bytes.Clone(b))} {
			got, ok := Parse(b)
			if !ok {
				continue
			}
			if diff := cmp.Diff(reference(t, b), got, byAddr); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if n, err := filters[IsIPv6(b)].Run(b); err != nil || n == 0 {
				t.Errorf("the filter drops what is understood as %+v (%v)", got, err)
			}
		}
		if !bytes.Equal(before, b) {
			t.Error("the frame was changed")
		}
	})
}

// reference is what the libraries make of a frame that was understood.
func reference(t *testing.T, b []byte) Message {
	t.Helper()
	var f ethernet.Frame
	if err := f.UnmarshalBinary(b); err != nil {
		t.Fatalf("understood what is no frame: %v", err)
	}
	m := Message{Destination: ownership.MAC(f.Destination)}
	if f.EtherType == ethernet.EtherTypeARP {
		var p arp.Packet
		if err := p.UnmarshalBinary(f.Payload); err != nil {
			t.Fatalf("understood what is no ARP packet: %v", err)
		}
		m.Op, m.Sender, m.SenderMAC, m.Target = Op(p.Operation), p.SenderIP, ownership.MAC(p.SenderHardwareAddr), p.TargetIP
		return m
	}
	source, destination := addr6(f.Payload[ip6Source:]), addr6(f.Payload[ip6Destination:])
	body := f.Payload[ip6Len:][:int(f.Payload[ip6Length])<<8+int(f.Payload[ip6Length+1])]
	checkSum(t, source, destination, body)
	m.SenderMAC = ownership.MAC(f.Source)
	message, err := ndp.ParseMessage(body)
	if err != nil {
		// Options that do not matter may be broken in themselves; the library reads them all.
		message, err = ndp.ParseMessage(body[:ndpLen])
		if err != nil {
			t.Fatalf("understood what is no message of Neighbor Discovery: %v", err)
		}
		var ignored Message
		if _, ok := ignored.options(body[ndpLen:], 0); !ok {
			t.Fatal("understood what has broken options")
		}
		m.options(body[ndpLen:], map[bool]ndp.Direction{true: ndp.Source, false: ndp.Target}[body[0] == typeSolicitation])
	}
	option := func(options []ndp.Option, d ndp.Direction) {
		for _, o := range options {
			if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == d {
				m.SenderMAC = ownership.MAC(l.Addr)
			}
		}
	}
	switch message := message.(type) {
	case *ndp.NeighborSolicitation:
		m.Op, m.Sender, m.Target = Request, source, message.TargetAddress
		option(message.Options, ndp.Source)
	case *ndp.NeighborAdvertisement:
		m.Op, m.Sender, m.Target = Reply, message.TargetAddress, destination
		option(message.Options, ndp.Target)
	default:
		t.Fatalf("understood %T", message)
	}
	return m
}

// checkSum makes the message again with x/net/icmp, which puts the checksum in.
func checkSum(t *testing.T, source, destination netip.Addr, body []byte) {
	t.Helper()
	m, err := icmp.ParseMessage(protocolICMP6, body)
	if err != nil {
		t.Fatalf("understood what is no ICMPv6: %v", err)
	}
	raw := &icmp.Message{Type: m.Type, Code: m.Code, Body: &icmp.RawBody{Data: body[4:]}}
	want, err := raw.Marshal(icmp.IPv6PseudoHeader(net.IP(source.AsSlice()), net.IP(destination.AsSlice())))
	if err != nil {
		t.Fatal(err)
	}
	// Both forms of zero are the same sum.
	if got := body[2:4]; !bytes.Equal(got, want[2:4]) && !(bytes.Equal(got, []byte{0xff, 0xff}) && bytes.Equal(want[2:4], []byte{0, 0})) && !(bytes.Equal(got, []byte{0, 0}) && bytes.Equal(want[2:4], []byte{0xff, 0xff})) {
		t.Errorf("understood a message with the checksum %x, want %x", got, want[2:4])
	}
}

// FuzzAnswer: every answer to a message is one that Parse reads, and says what was asked for.
func FuzzAnswer(f *testing.F) {
	f.Add(received(f, arpRequest, ""))
	f.Add(summed(received(f, nsMulticast, "0000")))
	f.Add(summed(received(f, nsProbe, "0000")))
	answers, err := NewAnswers(ours)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := Parse(summed(b))
		if !ok || m.Op != Request {
			return
		}
		a := answers.Append(nil, m)
		if isGroup(m.SenderMAC) {
			if len(a) != 0 {
				t.Errorf("answered at %s: %x", m.SenderMAC, a)
			}
			return
		}
		got, ok := Parse(a)
		if !ok {
			t.Fatalf("the answer to %+v is not valid: %x", m, a)
		}
		want := Message{Op: Reply, Destination: m.SenderMAC, Sender: m.Target, SenderMAC: ours, Target: m.Sender}
		if m.Probe() && m.Target.Is6() {
			want.Destination, want.Target = groupMAC(allNodes), allNodes
		}
		if diff := cmp.Diff(want, got, byAddr); diff != "" {
			t.Errorf("answer to %+v (-want +got):\n%s", m, diff)
		}
	})
}
