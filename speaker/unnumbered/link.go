package unnumbered

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// round is how often a link is looked after.
	round = time.Second
	// eager is in how many first rounds we speak each time: a router that has just come up shall not wait.
	eager = 3
	// advertiseEvery and solicitEvery are in rounds; the latter only while it is not clear who is there (RFC 4861
	// section 10: RTR_SOLICITATION_INTERVAL).
	advertiseEvery, solicitEvery = 10, 4
	// minAdvertisementGap is between advertisements that answer others (MIN_DELAY_BETWEEN_RAS).
	minAdvertisementGap = 3 * time.Second
)

// link looks after one interface, by its name: it may come later, and go, and come again as another one.
type link struct {
	name  string
	log   *slog.Logger
	poke  chan struct{}
	found func(netip.Addr)
}

// run serves the link until ctx ends.
func (l *link) run(ctx context.Context) {
	ticker := time.NewTicker(round)
	defer ticker.Stop()
	var last string
	for {
		err := l.serve(ctx, ticker.C)
		l.found(netip.Addr{})
		if ctx.Err() != nil {
			return
		}
		if why := err.Error(); why != last {
			last = why
			l.log.Info("cannot look for the neighbour on an interface now", "op", "findNeighbour", "interface", l.name, "error", why)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.poke:
		case <-ticker.C:
		}
	}
}

// usable returns the interface if it can carry packets.
func (l *link) usable() (*net.Interface, error) {
	ifi, err := net.InterfaceByName(l.name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", l.name, err)
	}
	if ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagRunning == 0 {
		return nil, fmt.Errorf("interface %s is down", l.name)
	}
	return ifi, nil
}

// heard is a valid message of another.
type heard struct {
	kind ipv6.ICMPType
	from netip.Addr
}

// serve speaks and listens until ctx ends, or the interface is not what it was.
func (l *link) serve(ctx context.Context, rounds <-chan time.Time) error {
	ifi, err := l.usable()
	if err != nil {
		return err
	}
	conn, err := listen(ctx, ifi)
	if err != nil {
		return err
	}
	messages := make(chan heard)
	failed := make(chan error, 1)
	done := make(chan struct{})
	defer func() {
		close(done)
		conn.Close()
		<-failed
	}()
	go func() {
		failed <- receive(conn, ifi, messages, done)
		close(failed)
	}()

	var who neighbour
	var advertised time.Time
	var lastFailure string
	say := func(b []byte, to netip.Addr) {
		// Failures pass, for example until the interface has a link-local address; the next round comes soon.
		if err := send(conn, ifi, b, to); err != nil && err.Error() != lastFailure {
			lastFailure = err.Error()
			l.log.Info("cannot send to the neighbours on an interface now", "op", "findNeighbour", "interface", l.name, "error", err)
		}
	}
	advertise := func() {
		advertised = time.Now()
		say(advertisement(ifi.HardwareAddr), allNodes)
	}
	for n := 0; ; {
		if n < eager || n%advertiseEvery == 0 {
			advertise()
		}
		if n < eager || who.doubtful() && n%solicitEvery == 0 {
			say(solicitation(ifi.HardwareAddr), allRouters)
		}
		for turn := false; !turn; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case err := <-failed:
				return err
			case m := <-messages:
				if m.kind == ipv6.ICMPTypeRouterAdvertisement {
					who.hear(m.from, time.Now())
					l.found(who.current)
				}
				// Who speaks may have come up just now, and forgotten us.
				if time.Since(advertised) >= minAdvertisementGap {
					advertise()
				}
				continue
			case <-l.poke:
			case <-rounds:
				turn = true
			}
			now, err := l.usable()
			if err != nil {
				return err
			}
			if now.Index != ifi.Index {
				return errors.New("the interface was replaced")
			}
		}
		n++
	}
}

// listen opens a socket for router discovery on one interface.
func listen(ctx context.Context, ifi *net.Interface) (*ipv6.PacketConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		if err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), ifi.Name) }); err != nil {
			return err
		}
		return bound
	}}
	packets, err := config.ListenPacket(ctx, "ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, fmt.Errorf("open a socket for router discovery on %s: %w", ifi.Name, err)
	}
	conn := ipv6.NewPacketConn(packets)
	if err := prepare(conn, ifi); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare router discovery on %s: %w", ifi.Name, err), conn.Close())
	}
	return conn, nil
}

func prepare(conn *ipv6.PacketConn, ifi *net.Interface) error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return errors.Join(
		conn.SetICMPFilter(&filter),
		conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		conn.SetMulticastHopLimit(hopLimit),
		conn.SetMulticastInterface(ifi),
		conn.SetMulticastLoopback(false),
		conn.JoinGroup(ifi, &net.IPAddr{IP: allRouters.AsSlice()}),
	)
}

func send(conn *ipv6.PacketConn, ifi *net.Interface, b []byte, to netip.Addr) error {
	if err := conn.SetWriteDeadline(time.Now().Add(round)); err != nil {
		return err
	}
	_, err := conn.WriteTo(b, &ipv6.ControlMessage{HopLimit: hopLimit, IfIndex: ifi.Index}, &net.IPAddr{IP: to.AsSlice(), Zone: ifi.Name})
	return err
}

// receive passes on what others on the link say, until the socket is closed.
func receive(conn *ipv6.PacketConn, ifi *net.Interface, to chan<- heard, done <-chan struct{}) error {
	buffer := make([]byte, 1500) // longer ones are cut, which costs options only
	for {
		n, cm, source, err := conn.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("router discovery on %s: %w", ifi.Name, err)
		}
		address, ok := source.(*net.IPAddr)
		if !ok || cm == nil || cm.IfIndex != ifi.Index {
			continue
		}
		from, ok := netip.AddrFromSlice(address.IP)
		if !ok {
			continue
		}
		kind, err := check(buffer[:n], from, cm.HopLimit)
		if err != nil {
			continue // not from a router on this link
		}
		select {
		case to <- heard{kind, from}:
		case <-done:
			return nil
		}
	}
}
