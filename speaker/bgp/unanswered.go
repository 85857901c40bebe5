package bgp

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// silence looks the neighbour up among those on the node's links. Passwords that differ (RFC 2385) look like a filter from
// here: what has the wrong signature, or none, or one that nobody asked for, is dropped without a word.
func (k *kernel) silence(cfg sessionConfig) string {
	family := netlink.FAMILY_V4
	if cfg.address.Is6() {
		family = netlink.FAMILY_V6
	}
	neighbours, err := netlink.NeighList(0, family)
	if err != nil {
		return ""
	}
	const found, failed = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT, unix.NUD_INCOMPLETE | unix.NUD_FAILED
	for _, n := range neighbours {
		if a, ok := netip.AddrFromSlice(n.IP); !ok || a.Unmap() != cfg.address {
			continue
		}
		switch {
		case n.State&found != 0:
			return ": the peer is on the link, but something drops what is sent, as a filter does, or a peer with another password, or with one on one side only"
		case n.State&failed != 0:
			return ": nobody on the link has the peer's address"
		}
	}
	return ""
}
