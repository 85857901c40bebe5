package frame

import (
	"testing"

	"golang.org/x/net/bpf"
)

// TestTheFilterAgreesWithTheParser runs the part of the filter that looks at bytes; the rest needs a kernel.
func TestTheFilterAgreesWithTheParser(t *testing.T) {
	programs := map[string]*bpf.VM{}
	for name, fields := range map[string][]field{"ARP": arpFields, "NDP": ndpFields} {
		vm, err := bpf.NewVM(match(fields))
		if err != nil {
			t.Fatal(err)
		}
		programs[name] = vm
	}
	udp := func(b []byte) []byte { b[offPayload+ip6NextHeader] = 17; return b }
	vlan := func(b []byte) []byte {
		return append(append(append([]byte{}, b[:12]...), 0x81, 0, 0, 5), b[12:]...)
	}
	routed := func(b []byte) []byte { b[offPayload+ip6HopLimit] = 64; return b }
	router := func(b []byte) []byte { b[offPayload+ndpType] = 134; return b }
	reverse := func(b []byte) []byte { b[offPayload+arpOperation+1] = 3; return b }
	tests := map[string]struct {
		frame   []byte
		program string // that accepts it
	}{
		"ARP request":           {received(t, arpRequest, ""), "ARP"},
		"ARP probe":             {received(t, arpProbe, ""), "ARP"},
		"ARP reply":             {received(t, arpReply, ""), "ARP"},
		"reverse ARP":           {reverse(received(t, arpRequest, "")), ""},
		"ARP with a tag":        {vlan(received(t, arpRequest, "")), ""},
		"solicitation":          {received(t, nsMulticast, "0000"), "NDP"},
		"unicast solicitation":  {received(t, nsUnicast, "0000"), "NDP"},
		"advertisement":         {received(t, naMulticast, "0000"), "NDP"},
		"router advertisement":  {router(received(t, naMulticast, "0000")), ""},
		"forwarded":             {routed(received(t, nsMulticast, "0000")), ""},
		"UDP":                   {udp(received(t, nsMulticast, "0000")), ""},
		"solicitation, tagged":  {vlan(received(t, nsMulticast, "0000")), ""},
		"too short for a field": {received(t, nsMulticast, "0000")[:offPayload+ndpType], ""},
		"empty":                 {nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for program, vm := range programs {
				n, err := vm.Run(tt.frame)
				if err != nil {
					t.Fatal(err)
				}
				if accepted := n > 0; accepted != (program == tt.program) {
					t.Errorf("the filter for %s accepts it: %t", program, accepted)
				}
				if n > 0 && n < MaxLen {
					t.Errorf("the filter for %s cuts it to %d bytes", program, n)
				}
			}
		})
	}
}

func TestTheFiltersAssemble(t *testing.T) {
	for name, filter := range map[string]func() ([]bpf.RawInstruction, error){"ARP": FilterARP, "NDP": FilterNDP} {
		program, err := filter()
		if err != nil || len(program) < len(filterHead)+len(match(arpFields)) {
			t.Errorf("%s: %d instructions, %v", name, len(program), err)
		}
	}
}
