package bfd

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// memory is a network in memory. Its hosts reach each other by their addresses.
type memory struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*host
	// Decides what becomes of a packet: how long it travels, and whether it is lost. Nil delivers at once.
	fate func(from, to netip.Addr, payload []byte) (delay time.Duration, lost bool)
	ttl  uint8
}

func newMemory() *memory { return &memory{hosts: make(map[netip.Addr]*host), ttl: 255} }

// host is the Transport of one host.
type host struct {
	net     *memory
	address netip.Addr
	// Sends echo packets back.
	forwards bool

	mu        sync.Mutex
	port      uint16
	receivers map[Scope]*inbox
	echoes    *inbox
	// Sending fails with it.
	broken error
}

func (n *memory) host(address string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &host{net: n, address: netip.MustParseAddr(address), forwards: true, port: 49152, receivers: make(map[Scope]*inbox)}
	n.hosts[h.address] = h
	return h
}

func (n *memory) setFate(f func(from, to netip.Addr, payload []byte) (time.Duration, bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fate = f
}

// carry brings a packet to where it is put into an inbox.
func (n *memory) carry(from, to netip.Addr, payload []byte, deliver func(*host, inboxed)) {
	n.mu.Lock()
	h, fate, ttl := n.hosts[to], n.fate, n.ttl
	n.mu.Unlock()
	if h == nil {
		return
	}
	p := inboxed{payload: append([]byte(nil), payload...), from: from, to: to, ttl: ttl}
	var delay time.Duration
	if fate != nil {
		var lost bool
		if delay, lost = fate(from, to, payload); lost {
			return
		}
	}
	if delay == 0 {
		deliver(h, p)
		return
	}
	time.AfterFunc(delay, func() { deliver(h, p) })
}

func (h *host) Listen(sc Scope) (Receiver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := newInbox()
	h.receivers[sc] = b
	return b, nil
}

func (h *host) ListenEcho() (Receiver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.echoes = newInbox()
	return h.echoes, nil
}

func (h *host) Dial(k Key) (Sender, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port++
	return &outbox{h: h, port: h.port, send: func(payload []byte) {
		h.net.carry(h.address, k.Remote, payload, func(to *host, p inboxed) { to.receiver(k.scope()).put(p) })
	}}, nil
}

func (h *host) receiver(sc Scope) *inbox {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.receivers[sc]
}

func (h *host) DialEcho(k Key, local netip.Addr) (Sender, error) {
	return &outbox{h: h, send: func(payload []byte) {
		h.net.carry(local, k.Remote, payload, func(to *host, p inboxed) {
			if !to.reflects() {
				return
			}
			h.net.carry(k.Remote, local, p.payload, func(back *host, p inboxed) {
				back.mu.Lock()
				echoes := back.echoes
				back.mu.Unlock()
				echoes.put(p)
			})
		})
	}}, nil
}

func (h *host) Reflects(Key) bool { return h.reflects() }

func (h *host) reflects() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.forwards
}

func (h *host) setForwards(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forwards = on
}

func (h *host) setBroken(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
}

type outbox struct {
	h    *host
	port uint16
	send func([]byte)
}

func (o *outbox) Send(payload []byte) error {
	o.h.mu.Lock()
	err := o.h.broken
	o.h.mu.Unlock()
	if err == nil {
		o.send(payload)
	}
	return err
}

func (o *outbox) Local() netip.AddrPort { return netip.AddrPortFrom(o.h.address, o.port) }
func (o *outbox) Close() error          { return nil }

// inboxed is a packet that has arrived.
type inboxed struct {
	payload  []byte
	from, to netip.Addr
	ttl      uint8
	at       time.Time
}

// inbox is a Receiver. It may be stopped from telling that packets are there, as if the process had no time.
type inbox struct {
	ready  chan struct{}
	closed chan struct{}

	mu      sync.Mutex
	packets []inboxed
	starved bool
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (b *inbox) put(p inboxed) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.at = time.Now()
	b.packets = append(b.packets, p)
	b.signal()
}

func (b *inbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *inbox) starve(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starved = on
	b.signal()
}

func (b *inbox) Wait() error {
	for {
		b.mu.Lock()
		some := len(b.packets) > 0 && !b.starved
		b.mu.Unlock()
		if some {
			return nil
		}
		select {
		case <-b.ready:
		case <-b.closed:
			return ErrClosed
		}
	}
}

func (b *inbox) Receive(d *Datagram) (bool, error) {
	select {
	case <-b.closed:
		return false, ErrClosed
	default:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.packets) == 0 {
		return false, nil
	}
	p := b.packets[0]
	b.packets = b.packets[1:]
	*d = Datagram{Payload: p.payload, Source: p.from, Destination: p.to, Interface: "eth0", TTL: p.ttl, At: p.at}
	return true, nil
}

func (b *inbox) Close() error {
	select {
	case <-b.closed:
		return errors.New("closed twice")
	default:
		close(b.closed)
		return nil
	}
}
