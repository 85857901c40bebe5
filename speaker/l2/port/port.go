package port

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"

	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Link is the network interface of a port. A port serves for as long as all of it stays.
type Link struct {
	Index int
	Name  string
	MAC   ownership.MAC
	// IPv6 says that the link has IPv6 enabled, as its link-local address shows. Otherwise the port does not do it.
	IPv6 bool
}

// Hear handles a message. received is when the kernel had it, on CLOCK_BOOTTIME.
type Hear func(p *Port, m frame.Message, received time.Duration)

// Port is a link that is listened on.
type Port struct {
	link    Link
	log     *slog.Logger
	answers *frame.Answers
	arp     *socket
	ndp     *socket // nil if the port does not do IPv6
	groups  *groups
	broken  atomic.Bool
	closed  atomic.Bool
}

// Open opens a port. hear is called for each message, one at a time of each family, until Close; failed when a socket broke,
// as it does when the link goes down.
func Open(link Link, log *slog.Logger, hear Hear, failed func()) (*Port, error) {
	answers, err := frame.NewAnswers(link.MAC)
	if err != nil {
		return nil, fmt.Errorf("open port %s: %w", link.Name, err)
	}
	p := &Port{link: link, log: log.With("interface", link.Name), answers: answers, groups: newGroups(link.Index)}
	if p.arp, err = newSocket(link, ethernet.EtherTypeARP, frame.FilterARP); err != nil {
		return nil, fmt.Errorf("open port %s for ARP: %w", link.Name, err)
	}
	if link.IPv6 {
		if p.ndp, err = newSocket(link, ethernet.EtherTypeIPv6, frame.FilterNDP); err != nil {
			p.arp.close()
			return nil, fmt.Errorf("open port %s for Neighbor Discovery: %w", link.Name, err)
		}
	}
	for _, s := range p.sockets() {
		go p.read(s, hear, failed)
	}
	p.log.Info("created ARP responder for interface", "event", "createARPResponder")
	if p.ndp != nil {
		p.log.Info("created NDP responder for interface", "event", "createNDPResponder")
	}
	return p, nil
}

func (p *Port) sockets() []*socket {
	if p.ndp == nil {
		return []*socket{p.arp}
	}
	return []*socket{p.arp, p.ndp}
}

// socket returns the one for an address, nil if there is none.
func (p *Port) socket(a netip.Addr) *socket {
	if a.Is4() {
		return p.arp
	}
	return p.ndp
}

// read hands over what arrives until the port is closed or the socket breaks.
func (p *Port) read(s *socket, hear Hear, failed func()) {
	r := newReceiver()
	for {
		b, received, err := s.receive(r)
		if err != nil {
			if !p.closed.Load() {
				p.log.Debug("a responder's socket broke", "error", err)
				p.broken.Store(true)
				failed()
			}
			return
		}
		if m, ok := frame.Parse(b); ok && m.IsFor(p.link.MAC) {
			hear(p, m, received)
		}
	}
}

// Link returns what the port was opened for.
func (p *Port) Link() Link { return p.link }

// Serves says whether the port does an address's family.
func (p *Port) Serves(a netip.Addr) bool { return p.socket(a) != nil }

// Broken says whether a socket can be read no more. The port is of no use then but for Close.
func (p *Port) Broken() bool { return p.broken.Load() }

// Answer tells whoever sent a request that its target is here. It is for the function that hears only, for the message
// that it was called with.
func (p *Port) Answer(request frame.Message) error {
	s := p.socket(request.Target)
	s.answer = p.answers.Append(s.answer[:0], request)
	if len(s.answer) == 0 {
		return fmt.Errorf("answer on %s: the hardware address %s is not one host's", p.link.Name, request.SenderMAC)
	}
	if err := s.send(s.answer); err != nil {
		return fmt.Errorf("answer on %s: %w", p.link.Name, err)
	}
	return nil
}

// Send sends a frame. It does not wait while the interface's queue is full: that is an error.
func (p *Port) Send(b []byte) error {
	s := p.arp
	if frame.IsIPv6(b) {
		s = p.ndp
	}
	if s == nil {
		return fmt.Errorf("send on %s: the interface has no link-local IPv6 address", p.link.Name)
	}
	if err := s.send(b); err != nil {
		return fmt.Errorf("send on %s: %w", p.link.Name, err)
	}
	return nil
}

// Join has the solicitations for an address sent here: it joins the IPv6 group in which the address is asked for. It does
// nothing for IPv4. Each Join of an address is undone by one Leave, or by Close.
func (p *Port) Join(a netip.Addr) error {
	if a.Is4() || p.ndp == nil {
		return nil
	}
	return p.groups.join(frame.SolicitedNode(a))
}

// Leave undoes a Join.
func (p *Port) Leave(a netip.Addr) error {
	if a.Is4() || p.ndp == nil {
		return nil
	}
	return p.groups.leave(frame.SolicitedNode(a))
}

// Close ends the port: nothing is sent any more when it returns, and nothing heard but for what is being handled.
func (p *Port) Close() {
	if p.closed.Swap(true) {
		return
	}
	for _, s := range p.sockets() {
		if err := s.close(); err != nil {
			p.log.Warn("closing a responder", "error", err)
		}
	}
	p.groups.close()
	p.log.Info("deleted ARP responder for interface", "event", "deleteARPResponder")
	if p.ndp != nil {
		p.log.Info("deleted NDP responder for interface", "event", "deleteNDPResponder")
	}
}
