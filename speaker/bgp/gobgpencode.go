package bgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

var (
	ipv4Unicast = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	ipv6Unicast = &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
)

// encodePeer gives a session's configuration in gobgp's terms. A link-local neighbour has no zone there: gobgp could not
// set a password for it, nor recognize next hops. The connection is bound to the link instead.
func encodePeer(cfg sessionConfig, to target, restarting bool, prefixLimit int) *api.Peer {
	peer := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: to.address.String(),
			PeerAsn:         to.peerASN,
			LocalAsn:        cfg.ownASN(),
			AuthPassword:    cfg.password.Value(),
		},
		Transport: &api.Transport{RemotePort: uint32(cfg.port), BindInterface: to.device},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:               uint64(cfg.hold.Seconds()),
			KeepaliveInterval:      uint64(cfg.keepalive.Seconds()),
			ConnectRetry:           uint64(to.connectRetry.Seconds()),
			IdleHoldTimeAfterReset: 1,
		}},
	}
	if to.peerASN == cfg.ownASN() {
		// Internal peers get a TTL of 255, as from other implementations, and so may ask for it (RFC 5082). From them any
		// will do: 1 is gobgp's smallest other than its default, which is 255.
		peer.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 1}
	} else {
		// gobgp's TTL for external peers is 1 otherwise.
		peer.EbgpMultihop = &api.EbgpMultihop{Enabled: cfg.multiHop, MultihopTtl: 255}
	}
	if cfg.source.IsValid() {
		peer.Transport.LocalAddress = cfg.source.String()
	}
	if cfg.gracefulRestart {
		peer.GracefulRestart = &api.GracefulRestart{
			Enabled:         true,
			RestartTime:     restartSeconds,
			DeferralTime:    deferralSeconds,
			LocalRestarting: restarting,
		}
	}
	for _, f := range []struct {
		on     bool
		family *api.Family
	}{{cfg.ipv4, ipv4Unicast}, {cfg.ipv6, ipv6Unicast}} {
		if f.on {
			peer.AfiSafis = append(peer.AfiSafis, &api.AfiSafi{
				Config:            &api.AfiSafiConfig{Family: f.family, Enabled: true},
				MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: cfg.gracefulRestart}},
				PrefixLimits:      &api.PrefixLimit{Family: f.family, MaxPrefixes: uint32(prefixLimit)},
			})
		}
	}
	return peer
}

// encodePath gives a path in gobgp's terms. gobgp begins the AS path with our AS number where the session is external,
// and adds LOCAL_PREF where it is internal.
func encodePath(p path, ownASN uint32) (*api.Path, error) {
	family := ipv4Unicast
	if p.prefix.Addr().Is6() {
		family = ipv6Unicast
	}
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: p.prefix.Addr().String(), PrefixLen: uint32(p.prefix.Bits())})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", p.prefix, err)
	}
	attrs := []proto.Message{
		&api.OriginAttribute{Origin: 0}, // IGP
		&api.NextHopAttribute{NextHop: p.nextHop.String()},
	}
	if p.prepend > 0 {
		attrs = append(attrs, &api.AsPathAttribute{Segments: []*api.AsSegment{{
			Type: api.AsSegment_AS_SEQUENCE, Numbers: slices.Repeat([]uint32{ownASN}, int(p.prepend)),
		}}})
	}
	if p.hasMED {
		attrs = append(attrs, &api.MultiExitDiscAttribute{Med: p.med})
	}
	if p.localPref != 0 || p.lastResort {
		attrs = append(attrs, &api.LocalPrefAttribute{LocalPref: p.localPref})
	}
	if p.communities != "" {
		attrs = append(attrs, &api.CommunitiesAttribute{Communities: unpackCommunities(p.communities)})
	}
	if p.largeCommunities != "" {
		large := &api.LargeCommunitiesAttribute{}
		for b := []byte(p.largeCommunities); len(b) >= 12; b = b[12:] {
			large.Communities = append(large.Communities, &api.LargeCommunity{
				GlobalAdmin: binary.BigEndian.Uint32(b),
				LocalData1:  binary.BigEndian.Uint32(b[4:]),
				LocalData2:  binary.BigEndian.Uint32(b[8:]),
			})
		}
		attrs = append(attrs, large)
	}
	encoded := &api.Path{Family: family, Nlri: nlri, Pattrs: make([]*anypb.Any, 0, len(attrs))}
	for _, a := range attrs {
		wrapped, err := anypb.New(a)
		if err != nil {
			return nil, fmt.Errorf("encode attributes of %s: %w", p.prefix, err)
		}
		encoded.Pattrs = append(encoded.Pattrs, wrapped)
	}
	return encoded, nil
}

var errNotConnected = errors.New("no neighbour is configured")

// lookup reads the neighbour's state. w.mu is held.
func (w *gobgpWire) lookup() (*api.Peer, error) {
	if w.neighbour == "" {
		return nil, errNotConnected
	}
	var peer *api.Peer
	err := w.server.ListPeer(context.Background(), &api.ListPeerRequest{Address: w.neighbour}, func(p *api.Peer) { peer = p })
	if err != nil {
		return nil, fmt.Errorf("list peer: %w", err)
	}
	if peer == nil {
		return nil, errNotConnected
	}
	return peer, nil
}

func (w *gobgpWire) negotiated() (agreement, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	peer, err := w.lookup()
	switch {
	case errors.Is(err, errNotConnected):
		return agreement{}, errNoSession
	case err != nil:
		return agreement{}, err
	case stateOf(peer.GetState().GetSessionState()) != stateEstablished:
		return agreement{}, errNoSession
	}
	timers := peer.GetTimers().GetState()
	a := agreement{
		hold:      time.Duration(timers.GetNegotiatedHoldTime()) * time.Second,
		keepalive: max(time.Duration(timers.GetKeepaliveInterval()), 1) * time.Second,
	}
	multiprotocol := false
	for _, wrapped := range peer.GetState().GetRemoteCap() {
		capability, err := wrapped.UnmarshalNew()
		if err != nil {
			return agreement{}, fmt.Errorf("decode capability: %w", err)
		}
		switch c := capability.(type) {
		case *api.MultiProtocolCapability:
			multiprotocol = true
			a.ipv4 = a.ipv4 || proto.Equal(c.GetFamily(), ipv4Unicast)
			a.ipv6 = a.ipv6 || proto.Equal(c.GetFamily(), ipv6Unicast)
		case *api.ExtendedNexthopCapability:
			for _, t := range c.GetTuples() {
				if proto.Equal(t.GetNlriFamily(), ipv4Unicast) && t.GetNexthopFamily().GetAfi() == api.Family_AFI_IP6 {
					a.extendedNextHop = true
				}
			}
		}
	}
	// A neighbour without the capability speaks IPv4 unicast (RFC 4760 section 8).
	a.ipv4 = a.ipv4 || !multiprotocol
	return a, nil
}

func (w *gobgpWire) counters() (counters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := w.read()
	if errors.Is(err, errNotConnected) {
		c, err = counters{prefixesRefused: w.before.prefixesRefused}, nil
	}
	answered := w.answered.Load()
	c.notificationsSent += answered
	c.totalSent += answered
	c.totalReceived += answered
	return w.before.plus(c), err
}

// read returns the present neighbour's counters. w.mu is held.
func (w *gobgpWire) read() (counters, error) {
	peer, err := w.lookup()
	if err != nil {
		return counters{}, err
	}
	refused := uint64(0)
	for _, family := range peer.GetAfiSafis() {
		refused += family.GetState().GetReceived()
	}
	sent, received := peer.GetState().GetMessages().GetSent(), peer.GetState().GetMessages().GetReceived()
	return counters{
		opensSent: sent.GetOpen(), opensReceived: received.GetOpen(),
		updatesSent: sent.GetUpdate(), updatesReceived: received.GetUpdate(),
		keepalivesSent: sent.GetKeepalive(), keepalivesReceived: received.GetKeepalive(),
		notificationsSent: sent.GetNotification(), notificationsReceived: received.GetNotification(),
		refreshSent: sent.GetRefresh(),
		totalSent:   sent.GetTotal(), totalReceived: received.GetTotal(),
		prefixesRefused: refused,
	}, nil
}
