package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// echo implements bfd.Sender for the echo packets of a session. They are put on the link in a packet socket, since no
// route leads from our address to our address by way of a neighbour.
type echo struct {
	t     *Transport
	key   bfd.Key
	local netip.Addr
	end   context.CancelFunc // of the goroutine that keeps the neighbour's address fresh

	mu     sync.Mutex
	closed bool
	fd     int
	to     *unix.SockaddrLinklayer // nil while it is not known
	err    error                   // why
	buffer [ipHeader + udpHeader + echoPayload]byte
}

// errEcho says what DialEcho cannot do at all.
var errEcho = errors.New("echo packets are for IPv4 and one hop")

func newEcho(t *Transport, k bfd.Key, local netip.Addr) (*echo, error) {
	if !k.Remote.Is4() || !local.Is4() || k.MultiHop {
		return nil, errEcho
	}
	// No protocol: it is for sending alone.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket for echo packets: %w", err)
	}
	if err := set(fd, [][3]int{{unix.SOL_SOCKET, unix.SO_PRIORITY, highest}}); err != nil {
		_ = unix.Close(fd) // of no use to anybody
		return nil, err
	}
	e := &echo{t: t, key: k, local: local, fd: fd, err: errors.New("the neighbour's link-layer address is not known yet")}
	var ctx context.Context
	ctx, e.end = context.WithCancel(context.Background())
	t.running.Go(func() { e.follow(ctx) })
	return e, nil
}

// follow keeps the neighbour's address fresh until ctx ends.
func (e *echo) follow(ctx context.Context) {
	retry := backoff.Backoff{First: firstWait, Most: longestWait}
	for ctx.Err() == nil {
		began := time.Now()
		err := followNeighbour(ctx, e.key, e.learn)
		if ctx.Err() != nil {
			return
		}
		e.lose(err)
		if time.Since(began) > longestWait {
			retry.Reset()
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

func (e *echo) learn(index int, mac [6]byte) {
	to := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: index, Halen: 6}
	copy(to.Addr[:], mac[:])
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to, e.err = to, nil
}

// lose says why nothing more will be learnt for now. What is known remains in use: echo packets do not come back from an
// address that is wrong.
func (e *echo) lose(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.to == nil && err != nil {
		e.err = err
	}
}

// Send implements bfd.Sender.
func (e *echo) Send(payload []byte) error {
	if len(payload) > echoPayload {
		return fmt.Errorf("echo packet of %d bytes: %w", len(payload), unix.EMSGSIZE)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return bfd.ErrClosed
	case e.to == nil:
		return e.err
	}
	if err := unix.Sendto(e.fd, putEcho(e.buffer[:], e.local, payload), unix.MSG_DONTWAIT, e.to); err != nil {
		return fmt.Errorf("send echo to %s: %w", e.key.Remote, err)
	}
	return nil
}

// Local implements bfd.Sender.
func (e *echo) Local() netip.AddrPort { return netip.AddrPortFrom(e.local, bfd.EchoPort) }

// recheck implements watched. Neighbours go with their links, and are followed where they are.
func (e *echo) recheck() {}

// Close implements bfd.Sender.
func (e *echo) Close() error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if closed {
		return nil
	}
	e.end()
	e.t.unwatch(e)
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	if e.t.echoes[e.local]--; e.t.echoes[e.local] == 0 {
		delete(e.t.echoes, e.local)
	}
	return unix.Close(e.fd)
}

// openEcho opens the packet socket that echo packets come back to.
func openEcho() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket for echo packets: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // of no use to anybody
		}
	}()
	// Before it has a protocol, so that nothing gets in unseen.
	if err := attach(fd, echoFilter()); err != nil {
		return -1, err
	}
	if err := set(fd, [][3]int{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}, {unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer}}); err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP)}); err != nil {
		return -1, fmt.Errorf("bind to the protocol of echo packets: %w", err)
	}
	return fd, nil
}

// parseEcho reads an echo packet that came back; those of neighbours are not ours to keep.
func (t *Transport) parseEcho(b *batch, i int, d *bfd.Datagram) (ancillary, bool) {
	a := parseAncillary(b.control(i))
	payload, local, ttl, ok := getEcho(b.payload(i))
	if !ok || !t.sendsEcho(local) {
		return a, false
	}
	a.index = linkOf(b.name(i))
	d.Payload, d.Source, d.Destination, d.TTL = payload, local, local, ttl
	return a, true
}
