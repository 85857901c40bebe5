package links

import (
	"net"
	"testing"

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
