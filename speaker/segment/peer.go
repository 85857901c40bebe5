package segment

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// peer is another node on a segment. Watcher.mu guards it.
type peer struct {
	node string
	host *host
	// mac as the centre says.
	mac    ownership.MAC
	config *ingotv1.SegmentPeer
	log    *slog.Logger

	session session // nil without BFD
	key     bfd.Key
	// generation tells calls of the present session from those of one before.
	generation int
	// opened is since when the session was what watch found when it opened it.
	opened time.Time
	status bfd.Status
	known  bool
	// trouble is why there is no session though there should be.
	trouble string
}

// session is what is used of a shared.Session.
type session interface {
	Retune(bfd.Parameters) error
	AdminDown() <-chan struct{}
	Close()
	Status() bfd.Status
	Heard() (last, up time.Duration)
}

// parametersOf are those of an item. What the engine cannot take of them it refuses.
func parametersOf(b *ingotv1.BfdParameters) bfd.Parameters {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	return bfd.Parameters{
		ReceiveInterval: ms(b.GetReceiveIntervalMs()), TransmitInterval: ms(b.GetTransmitIntervalMs()), EchoInterval: ms(b.GetEchoIntervalMs()),
		DetectMultiplier: uint8(min(b.GetDetectMultiplier(), 255)), Echo: b.GetEchoMode(), Passive: b.GetPassiveMode(),
	}
}

// state is what the session says.
func (p *peer) state() State {
	switch {
	case p.session == nil:
		return Unwatched
	case p.status.State == bfd.Up:
		return Up
	case p.known && !p.status.Failed:
		return Left
	}
	return Down
}

// watch opens, changes or closes the session as c has it. open is the engine's.
func (p *peer) watch(c *ingotv1.SegmentPeer, key bfd.Key, wanted bool, open func(bfd.Key, bfd.Parameters, func(bfd.Status)) (session, error), changed func(generation int, s bfd.Status)) {
	retune := !proto.Equal(p.config.GetBfd(), c.GetBfd())
	p.config = c
	if !wanted {
		p.drop()
		return
	}
	parameters := parametersOf(c.GetBfd())
	if p.session != nil && p.key == key {
		if !retune {
			return
		}
		if err := p.session.Retune(parameters); err != nil {
			p.fail("retune", err)
		}
		return
	}
	p.drop()
	p.generation++
	generation := p.generation
	s, err := open(key, parameters, func(status bfd.Status) { changed(generation, status) })
	if err != nil {
		p.fail("openBFD", err)
		return
	}
	p.session, p.key, p.trouble = s, key, ""
	p.status = s.Status()
	p.opened = p.status.Since
	p.known = p.status.State == bfd.Up
	p.log.Info("watching the node by BFD", "event", "bfdAdded", "local", key.Local.String(), "remote", key.Remote.String())
}

func (p *peer) fail(op string, err error) {
	if p.trouble != err.Error() {
		p.log.Error("cannot watch the node by BFD", "op", op, "error", err)
	}
	p.trouble = err.Error()
}

// drop closes the session, if there is one; the peer is told that it is on purpose.
func (p *peer) drop() {
	p.trouble = ""
	if p.session == nil {
		return
	}
	p.generation++
	p.session.Close()
	p.session, p.key, p.status, p.known = nil, bfd.Key{}, bfd.Status{}, false
	p.log.Info("node not watched by BFD any more", "event", "bfdRemoved")
}

// observe takes in what the session's state is now. It says whether anything changed that matters, and whether the peer was
// lost just now.
func (p *peer) observe(now bfd.Status) (changed, lost bool) {
	if now.Since.Before(p.opened) {
		return false, false // watch saw what is newer
	}
	before, was := p.status, p.state()
	p.status = now
	p.known = p.known || now.State == bfd.Up
	is := p.state()
	switch {
	case is == Up && was != Up:
		p.log.Info("BFD session up", "event", "bfdSessionUp", "detectionTime", now.DetectionTime.String())
	case was == Up && is == Down:
		p.log.Warn("BFD session down", "event", "bfdSessionDown", "error", now.Diagnostic.String(), "wasUp", now.Since.Sub(before.Since).String())
	case was == Up && is == Left:
		p.log.Info("BFD session taken down on purpose", "event", "bfdSessionDown", "remoteDiagnostic", now.RemoteDiagnostic.String())
	}
	return is != was || before.State != now.State, was == Up && is == Down
}

// lastHeard is when a frame or packet of the peer arrived last.
func (p *peer) lastHeard() time.Duration {
	last := time.Duration(p.host.heard.Load())
	if p.session != nil {
		by, _ := p.session.Heard()
		last = max(last, by)
	}
	return last
}

func (p *peer) report() *ingotv1.SegmentPeerReport {
	r := &ingotv1.SegmentPeerReport{
		Node: p.node, Address: p.host.address.String(), Mac: macText(p.host), Answer: p.host.state, SinceMs: milliseconds(p.host.since), Heard: p.host.arriving,
	}
	if p.session != nil {
		r.BfdState, r.BfdSinceMs = p.status.State.String(), milliseconds(p.status.Since)
		if p.state() == Left {
			r.BfdState = bfd.AdminDown.String()
		}
	}
	return r
}

// parseAddress is an address without its zone; not valid for a text that is none.
func parseAddress(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

// parseMAC is zero for a text that is no Ethernet address.
func parseMAC(text string) (m ownership.MAC) {
	if hw, err := net.ParseMAC(text); err == nil && len(hw) == len(m) {
		copy(m[:], hw)
	}
	return m
}
