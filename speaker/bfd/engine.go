package bfd

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Options of an Engine.
type Options struct {
	// Where the engine complains when it cannot send or receive. Nil discards it.
	Log *slog.Logger
	// Transport carries the packets: wire.New, outside of tests.
	Transport Transport
}

// Engine runs BFD sessions. Its methods may be called from several goroutines at the same time.
type Engine struct {
	log       *slog.Logger
	transport Transport
	// Packets that belonged to no session, or were no BFD packets.
	discarded atomic.Uint64
	complain  limiter
	goroutine sync.WaitGroup

	mu     sync.RWMutex
	closed bool
	// Sessions by key, until they are closed.
	byKey map[Key]*Session
	// Sessions by bfd.LocalDiscr, including those that are closed and say so to the neighbour.
	byDiscriminator map[uint32]*Session
	// Sessions of byKey by what a neighbour's first packet tells.
	byNeighbor map[neighbor][]*Session
	receivers  map[Scope]*receiver
	// Receiver of echo packets.
	echoes *receiver
}

// neighbor is where first packets come from: RFC 5881 section 3, RFC 5883 section 4.
type neighbor struct {
	address  netip.Addr
	vrf      string
	multiHop bool
}

func (k Key) neighbor() neighbor { return neighbor{k.Remote, k.VRF, k.MultiHop} }

// New returns an engine. It opens nothing until a session needs it.
func New(o Options) *Engine {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		log:             log,
		transport:       o.Transport,
		byKey:           make(map[Key]*Session),
		byDiscriminator: make(map[uint32]*Session),
		byNeighbor:      make(map[neighbor][]*Session),
		receivers:       make(map[Scope]*receiver),
	}
}

// Open starts a session. It fails only if the key or the parameters make no sense, or the session is open already: what
// the network cannot do yet is tried again, and told in Status.Notices.
//
// The function changed, which may be nil, is called with the session's status after each change of it, counters apart;
// calls come one after another, and every change of State or RemoteState has one (but an owner who falls 256 changes
// behind loses some in the middle). It may block, which delays only later calls of itself, and it may call the session's methods.
func (e *Engine) Open(k Key, p Parameters, changed func(Status)) (*Session, error) {
	if k.Remote, k.Local = k.Remote.Unmap(), k.Local.Unmap(); k.Local.IsUnspecified() {
		k.Local = netip.Addr{}
	}
	if err := k.validate(); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	if e.byKey[k] != nil {
		return nil, fmt.Errorf("bfd: %s: there is a session already", k)
	}
	discriminator, nonce, err := e.discriminator()
	if err != nil {
		return nil, fmt.Errorf("bfd: %s: choose a discriminator: %w", k, err)
	}
	s := newSession(e, k, p, discriminator, nonce, changed)
	s.receiver = e.receiver(k.scope())
	e.byKey[k] = s
	e.byDiscriminator[discriminator] = s
	e.byNeighbor[k.neighbor()] = append(e.byNeighbor[k.neighbor()], s)
	e.goroutine.Add(1)
	go s.run()
	return s, nil
}

// discriminator returns a number that no session has, at random so that nobody can guess it (RFC 5880 section 6.8.1), and
// another for the session's echo packets. The caller holds mu.
func (e *Engine) discriminator() (d uint32, nonce uint64, err error) {
	for d == 0 || e.byDiscriminator[d] != nil {
		var b [12]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, 0, err
		}
		d, nonce = binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint64(b[4:])
	}
	return d, nonce, nil
}

// receiver returns the receiver of a scope for one more session. The caller holds mu.
func (e *Engine) receiver(sc Scope) *receiver {
	r := e.receivers[sc]
	if r == nil {
		r = newReceiver(e, sc.String(), func() (Receiver, error) { return e.transport.Listen(sc) })
		r.handle = func(d *Datagram, arrival arrival) { e.control(sc, d, arrival) }
		e.receivers[sc] = r
		e.goroutine.Add(1)
		go r.run()
	}
	r.users++
	return r
}

// echoReceiver returns the receiver of echo packets for one more session; nil when the engine is closed.
func (e *Engine) echoReceiver() *receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	if e.echoes == nil {
		e.echoes = newReceiver(e, "echo packets", e.transport.ListenEcho)
		e.echoes.handle = e.echo
		e.goroutine.Add(1)
		go e.echoes.run()
	}
	e.echoes.users++
	return e.echoes
}

// unlist takes a session that closes out of the tables that its successor will be in.
func (e *Engine) unlist(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byKey[s.key] != s {
		return
	}
	delete(e.byKey, s.key)
	n := s.key.neighbor()
	var others []*Session
	for _, o := range e.byNeighbor[n] {
		if o != s {
			others = append(others, o)
		}
	}
	if e.byNeighbor[n] = others; len(others) == 0 {
		delete(e.byNeighbor, n)
	}
}

// remove forgets a session that has ended.
func (e *Engine) remove(s *Session) {
	e.unlist(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byDiscriminator, s.discriminator)
	if s.receiver.users--; s.receiver.users == 0 {
		delete(e.receivers, s.key.scope())
		s.receiver.stop()
	}
	if s.echoReceiver == nil {
		return
	}
	if s.echoReceiver.users--; s.echoReceiver.users == 0 {
		e.echoes = nil
		s.echoReceiver.stop()
	}
}

// Discarded returns how many packets were thrown away because they were no BFD packets, or no session's.
func (e *Engine) Discarded() uint64 { return e.discarded.Load() }

// Close ends all sessions, saying AdminDown to each neighbour once, and waits until the engine's goroutines have ended.
// To be sure that neighbours heard of it, call Session.AdminDown and wait before.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	sessions := make([]*Session, 0, len(e.byDiscriminator))
	for _, s := range e.byDiscriminator {
		sessions = append(sessions, s)
	}
	e.mu.Unlock()
	for _, s := range sessions {
		s.abandon()
	}
	e.goroutine.Wait()
}
