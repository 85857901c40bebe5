package bgp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// demand has a listener take only packets with a TTL of 255 (RFC 5082), and its connections after it.
func demand(network, _ string, raw syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_MINTTL
	if network == "tcp6" {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	var err error
	failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 255) })
	return errors.Join(err, failed)
}

// TestTTLSecurity: internal peers, and external ones with ebgpMultiHop, get packets with a TTL of 255.
func TestTTLSecurity(t *testing.T) {
	internal := func(b *ingotv1.BgpSession) { b.MyAsn = routerASN }
	for name, tt := range map[string]struct {
		address string
		with    change
	}{
		"internal":               {"127.0.0.2", internal},
		"internal, IPv6":         {"::1", internal},
		"internal, dynamic":      {"127.0.0.2", func(b *ingotv1.BgpSession) { b.MyAsn, b.PeerAsn, b.DynamicAsn = routerASN, 0, "internal" }},
		"internal, multi-hop":    {"127.0.0.2", func(b *ingotv1.BgpSession) { b.MyAsn, b.EbgpMultiHop = routerASN, true }},
		"external, ebgpMultiHop": {"127.0.0.2", func(b *ingotv1.BgpSession) { b.EbgpMultiHop = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := (&net.ListenConfig{Control: demand}).Listen(t.Context(), "tcp", net.JoinHostPort(tt.address, "0"))
			if err != nil {
				t.Fatal(err)
			}
			peer := newStrangerOn(t, l, quiet)
			item := peer.session("tor", tt.address)
			tt.with(item.GetBgpSession())
			s := New(Options{Node: "node1", Log: slog.New(slog.DiscardHandler)})
			s.Apply(t.Context(), []*ingotv1.Item{item}, false)
			t.Cleanup(func() { s.Apply(t.Context(), nil, false) })
			netns.Eventually(t, patience, func() error {
				if got := stateIn(s, "tor"); got.GetState() != "Established" {
					return fmt.Errorf("%v", got)
				}
				return nil
			})
		})
	}
}
