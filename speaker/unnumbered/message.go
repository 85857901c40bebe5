package unnumbered

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv6"
)

const (
	// hopLimit is what every neighbour discovery message has, so that none comes from beyond the link (RFC 4861
	// section 6.1).
	hopLimit = 255
	// minSolicitation and minAdvertisement are the lengths without options (RFC 4861 sections 4.1 and 4.2).
	minSolicitation  = 8
	minAdvertisement = 16
	optionSourceLink = 1
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// solicitation asks routers to say at once that they are there. The kernel fills in the checksum.
func solicitation(mac net.HardwareAddr) []byte {
	return appendLink([]byte{byte(ipv6.ICMPTypeRouterSolicitation), 0, 0, 0, 0, 0, 0, 0}, mac)
}

// advertisement says that we are there. Its router lifetime of 0 keeps hosts from routing through us, and everything else
// is unspecified, so that none changes its settings.
func advertisement(mac net.HardwareAddr) []byte {
	b := make([]byte, minAdvertisement, minAdvertisement+8)
	b[0] = byte(ipv6.ICMPTypeRouterAdvertisement)
	return appendLink(b, mac)
}

// appendLink appends the option with our link-layer address, where the link has one of the usual length.
func appendLink(b []byte, mac net.HardwareAddr) []byte {
	if len(mac) != 6 {
		return b
	}
	return append(append(b, optionSourceLink, 1), mac...)
}

// check says whether a message that came from an address with a hop limit is a valid solicitation or advertisement (RFC
// 4861 sections 6.1.1 and 6.1.2), and which. The kernel has verified the checksum.
func check(b []byte, from netip.Addr, limit int) (ipv6.ICMPType, error) {
	if len(b) < minSolicitation {
		return 0, fmt.Errorf("%d bytes are too few", len(b))
	}
	kind := ipv6.ICMPType(b[0])
	shortest := minSolicitation
	switch kind {
	case ipv6.ICMPTypeRouterAdvertisement:
		shortest = minAdvertisement
		if !from.IsLinkLocalUnicast() {
			return 0, fmt.Errorf("an advertisement from %s, which is not link-local", from)
		}
	case ipv6.ICMPTypeRouterSolicitation:
	default:
		return 0, fmt.Errorf("type %d is not about routers", b[0])
	}
	switch {
	case limit != hopLimit:
		return 0, fmt.Errorf("hop limit %d: it came from beyond the link", limit)
	case b[1] != 0:
		return 0, fmt.Errorf("code %d", b[1])
	case len(b) < shortest:
		return 0, fmt.Errorf("%d bytes are too few", len(b))
	}
	for options := b[shortest:]; len(options) > 0; {
		if len(options) < 2 || options[1] == 0 || 8*int(options[1]) > len(options) {
			return 0, errors.New("an option is longer than the message, or has no length")
		}
		options = options[8*int(options[1]):]
	}
	return kind, nil
}
