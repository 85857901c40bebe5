package bgp

import (
	"fmt"
	"net/netip"
	"time"
	"unique"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	defaultPort = 179
	// defaultHold is MetalLB's and RFC 4271's (section 10) suggestion.
	defaultHold = 90 * time.Second
	// defaultConnectRetry is short of RFC 4271's 120 s, since an address is unreachable meanwhile.
	defaultConnectRetry = 3 * time.Second
	// minHold is the smallest hold time other than zero (RFC 4271 section 4.2).
	minHold = 3 * time.Second
	// maxHold is the largest, and stands in for none at all.
	maxHold = 65535 * time.Second
	// maxPassword is TCP_MD5SIG_MAXKEYLEN: Linux takes no longer key.
	maxPassword = 80
	// maxInterfaceName is IFNAMSIZ less the final NUL.
	maxInterfaceName = 15
)

// sessionConfig is a BgpSession item with its defaults filled in. It is comparable, which is how a change is
// told from a repetition.
type sessionConfig struct {
	peer         string
	myASN        uint32
	localASN     uint32
	peerASN      uint32     // 0 when dynamicASN is set
	dynamicASN   string     // "internal", "external" or empty
	address      netip.Addr // invalid when unnumbered is set
	unnumbered   string     // the interface whose other end is the neighbour
	port         uint16
	source       netip.Addr // invalid when the kernel chooses
	hold         time.Duration
	noHold       bool // no hold time was asked for; hold is the longest there is
	keepalive    time.Duration
	connectRetry time.Duration
	routerID     netip.Addr // invalid when derived
	// password is behind a handle so that printing a session, in whatever way, does not show it.
	password        unique.Handle[string]
	multiHop        bool
	vrf             string
	ipv4, ipv6      bool
	gracefulRestart bool
	drain           bool // out of service; it resets nothing
}

// ownASN is the AS number that the neighbour sees.
func (c sessionConfig) ownASN() uint32 {
	if c.localASN != 0 {
		return c.localASN
	}
	return c.myASN
}

// external says whether the session is eBGP, as far as the configuration tells.
func (c sessionConfig) external() bool {
	return c.dynamicASN == "external" || c.dynamicASN == "" && c.peerASN != c.ownASN()
}

// linkLocal says whether the session runs between link-local addresses.
func (c sessionConfig) linkLocal() bool {
	return c.unnumbered != "" || c.address.IsLinkLocalUnicast() && c.address.Is6()
}

// neighbour names the other end for logs.
func (c sessionConfig) neighbour() string {
	if c.unnumbered != "" {
		return c.unnumbered
	}
	return c.address.String()
}

// carries says whether the session exchanges prefixes of p's family.
func (c sessionConfig) carries(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return c.ipv4
	}
	return c.ipv6
}

// needsReset says whether going from c to n takes a new session. How often to try to connect does not, nor does draining.
func (c sessionConfig) needsReset(n sessionConfig) bool {
	c.connectRetry, c.drain = n.connectRetry, n.drain
	return c != n
}

// parseSession checks an item and fills in defaults. Its errors become the reason of a refusal.
func parseSession(item *ingotv1.BgpSession) (sessionConfig, error) {
	c := sessionConfig{
		peer:            item.GetPeer(),
		myASN:           item.GetMyAsn(),
		localASN:        item.GetLocalAsn(),
		peerASN:         item.GetPeerAsn(),
		dynamicASN:      item.GetDynamicAsn(),
		port:            defaultPort,
		password:        unique.Make(item.GetPassword()),
		multiHop:        item.GetEbgpMultiHop(),
		vrf:             item.GetVrf(),
		gracefulRestart: item.GetGracefulRestart(),
		drain:           item.GetDrain(),
	}
	if c.peer == "" {
		return c, fmt.Errorf("the session has no peer name")
	}
	if c.myASN == 0 {
		return c, fmt.Errorf("my AS number is 0")
	}
	switch {
	case c.dynamicASN != "" && c.dynamicASN != "internal" && c.dynamicASN != "external":
		return c, fmt.Errorf("dynamic AS number %q is neither internal nor external", c.dynamicASN)
	case c.dynamicASN != "":
		c.peerASN = 0
	case c.peerASN == 0:
		return c, fmt.Errorf("the peer's AS number is 0")
	}
	if len(c.vrf) > maxInterfaceName {
		return c, fmt.Errorf("VRF %q: an interface name has at most %d characters", c.vrf, maxInterfaceName)
	}
	if n := len(item.GetPassword()); n > maxPassword {
		return c, fmt.Errorf("the password has %d bytes; TCP-MD5 takes %d at most", n, maxPassword)
	}
	if p := item.GetPort(); p > 65535 {
		return c, fmt.Errorf("port %d is above 65535", p)
	} else if p != 0 {
		c.port = uint16(p)
	}
	if err := c.parseAddresses(item); err != nil {
		return c, err
	}
	if err := c.parseTimers(item); err != nil {
		return c, err
	}
	return c, c.parseFamilies(item.GetFamilies())
}

func (c *sessionConfig) parseAddresses(item *ingotv1.BgpSession) error {
	c.unnumbered = item.GetInterface()
	if len(c.unnumbered) > maxInterfaceName {
		return fmt.Errorf("interface %q: an interface name has at most %d characters", c.unnumbered, maxInterfaceName)
	}
	if c.unnumbered == "" {
		addr, err := netip.ParseAddr(item.GetAddress())
		if err != nil {
			return fmt.Errorf("peer address %q: %w", item.GetAddress(), err)
		}
		c.address = addr.Unmap()
		if c.address.Zone() != "" {
			return fmt.Errorf("peer address %s: a zone has no place in it; name the interface instead", addr)
		}
	} else if item.GetAddress() != "" {
		return fmt.Errorf("the peer has both an address and an interface")
	}
	if s := item.GetSourceAddress(); s != "" {
		source, err := netip.ParseAddr(s)
		if err != nil || source.Zone() != "" {
			return fmt.Errorf("source address %q is not an IP address", s)
		}
		c.source = source.Unmap()
		if c.address.IsValid() && c.source.Is4() != c.address.Is4() {
			return fmt.Errorf("source address %s and peer address %s are of different families", c.source, c.address)
		}
		if c.unnumbered != "" && !c.source.IsLinkLocalUnicast() {
			return fmt.Errorf("source address %s: an unnumbered session runs between link-local addresses", c.source)
		}
	}
	if s := item.GetRouterId(); s != "" {
		id, err := netip.ParseAddr(s)
		if err != nil || !id.Is4() || id.IsUnspecified() {
			return fmt.Errorf("router ID %q is not an IPv4 address other than 0.0.0.0", s)
		}
		c.routerID = id
	}
	return nil
}

// parseTimers reads times, which BGP carries in whole seconds: fractions are rounded up.
func (c *sessionConfig) parseTimers(item *ingotv1.BgpSession) error {
	c.hold, c.connectRetry = defaultHold, defaultConnectRetry
	if item.HoldTimeMs != nil {
		c.hold = wholeSeconds(item.GetHoldTimeMs())
	}
	if c.hold == 0 {
		// gobgp v3 takes a hold time of zero for its default, and cannot write to a session that negotiated one.
		c.hold, c.noHold = maxHold, true
	}
	switch {
	case c.hold < minHold || c.hold > maxHold:
		return fmt.Errorf("hold time %s is outside 3s to 65535s", c.hold)
	}
	c.keepalive = c.hold / 3
	if item.KeepaliveTimeMs != nil && (!c.noHold || item.GetKeepaliveTimeMs() != 0) {
		c.keepalive = wholeSeconds(item.GetKeepaliveTimeMs())
		if c.keepalive == 0 || c.keepalive > c.hold {
			return fmt.Errorf("keepalive time %s is outside 1s to the hold time %s", c.keepalive, c.hold)
		}
	}
	c.keepalive = max(c.keepalive.Truncate(time.Second), time.Second)
	if item.ConnectTimeMs != nil {
		c.connectRetry = max(wholeSeconds(item.GetConnectTimeMs()), time.Second)
	}
	return nil
}

func wholeSeconds(ms uint32) time.Duration {
	return (time.Duration(ms)*time.Millisecond + time.Second - 1).Truncate(time.Second)
}

func (c *sessionConfig) parseFamilies(families []ingotv1.Family) error {
	for _, f := range families {
		switch f {
		case ingotv1.Family_FAMILY_IPV4_UNICAST:
			c.ipv4 = true
		case ingotv1.Family_FAMILY_IPV6_UNICAST:
			c.ipv6 = true
		default:
			return fmt.Errorf("address family %s is not known", f)
		}
	}
	if !c.ipv4 && !c.ipv6 && c.unnumbered != "" {
		c.ipv4, c.ipv6 = true, true
	} else if !c.ipv4 && !c.ipv6 {
		c.ipv4, c.ipv6 = c.address.Is4(), c.address.Is6()
	}
	return nil
}
