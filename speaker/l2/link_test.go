package l2

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestUnfit(t *testing.T) {
	fit := func() *netlink.LinkAttrs {
		return &netlink.LinkAttrs{
			Name: "eth0", Flags: net.FlagUp | net.FlagBroadcast, OperState: netlink.OperUp,
			HardwareAddr: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1},
		}
	}
	tests := map[string]struct {
		change func(*netlink.LinkAttrs)
		want   string
	}{
		"fit":              {func(*netlink.LinkAttrs) {}, ""},
		"unknown carrier":  {func(a *netlink.LinkAttrs) { a.OperState = netlink.OperUnknown }, ""},
		"down":             {func(a *netlink.LinkAttrs) { a.Flags &^= net.FlagUp }, "is down"},
		"no carrier":       {func(a *netlink.LinkAttrs) { a.OperState = netlink.OperLowerLayerDown }, "is down"},
		"enslaved":         {func(a *netlink.LinkAttrs) { a.MasterIndex = 7 }, "belongs to another interface (bond, bridge or VRF)"},
		"no ARP":           {func(a *netlink.LinkAttrs) { a.RawFlags |= unix.IFF_NOARP }, "has ARP disabled"},
		"point to point":   {func(a *netlink.LinkAttrs) { a.Flags &^= net.FlagBroadcast }, "is not an Ethernet-like broadcast network"},
		"no hardware addr": {func(a *netlink.LinkAttrs) { a.HardwareAddr = nil }, "is not an Ethernet-like broadcast network"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			attrs := fit()
			tt.change(attrs)
			if got := unfit(attrs); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAllowedLinks(t *testing.T) {
	links := []link{{name: "eth0"}, {name: "eth1", unfit: "is down"}, {name: "eth2"}}
	tests := map[string]struct {
		interfaces []string
		want       []string
		why        string
	}{
		"all":          {nil, []string{"eth0", "eth2"}, ""},
		"listed":       {[]string{"eth2", "eth9"}, []string{"eth2"}, ""},
		"none is left": {[]string{"eth1", "eth9"}, nil, "interface eth1 is down; interface eth9 does not exist on this node, or is excluded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := allowed(tt.interfaces, links)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
			if tt.why != "" && whyNone(vip, tt.interfaces, links) != tt.why {
				t.Errorf("got %q, want %q", whyNone(vip, tt.interfaces, links), tt.why)
			}
		})
	}
}
