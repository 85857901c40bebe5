package bfd

import "encoding/binary"

// control handles a packet that came to the port of a scope: RFC 5880 section 6.8.6, RFC 5881 section 5.
func (e *Engine) control(sc Scope, d *Datagram, a arrival) {
	var p Packet
	if err := p.Decode(d.Payload); err != nil {
		e.discard(d, a, err)
		return
	}
	s, err := e.find(sc, d, &p)
	if err != nil {
		e.discard(d, a, err)
		return
	}
	s.receive(d, a, &p)
}

// find returns the session that a packet belongs to.
func (e *Engine) find(sc Scope, d *Datagram, p *Packet) (*Session, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if p.YourDiscriminator != 0 {
		// Source address and interface may differ from those of the first packet (RFC 5880 section 6.3), but one session's
		// packets do not come in by the port of another kind of session, with its laxer rules.
		s := e.byDiscriminator[p.YourDiscriminator]
		if s == nil || s.key.scope() != sc {
			return nil, DiscardUnknownDiscriminator
		}
		return s, nil
	}
	var found *Session
	best := -1
	for _, s := range e.byNeighbor[neighbor{d.Source, sc.VRF, sc.MultiHop}] {
		k, points := &s.key, 0
		if k.Interface != "" {
			if k.Interface != d.Interface {
				continue
			}
			points++
		}
		if k.Local.IsValid() {
			if k.Local != d.Destination {
				continue
			}
			points++
		}
		if points > best {
			found, best = s, points
		}
	}
	if found == nil {
		return nil, DiscardUnknownNeighbor
	}
	return found, nil
}

// discard counts a packet that is no session's.
func (e *Engine) discard(d *Datagram, a arrival, err error) {
	e.discarded.Add(1)
	if e.complain.allow(a.now) {
		e.log.Info("BFD packet thrown away", "source", d.Source, "interface", d.Interface, "reason", "it "+err.Error(), "total", e.discarded.Load())
	}
}

// echoLen is the length of our echo packets, whose content is our own business (RFC 5880 section 6.4): the discriminator, a
// number that only the session knows, so that nobody else can make them, and a sequence number.
const echoLen = 4 + 8 + 8

func appendEcho(b []byte, discriminator uint32, nonce, sequence uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, discriminator)
	b = binary.BigEndian.AppendUint64(b, nonce)
	return binary.BigEndian.AppendUint64(b, sequence)
}

// echo handles an echo packet that came back.
func (e *Engine) echo(d *Datagram, a arrival) {
	if len(d.Payload) < echoLen {
		e.discard(d, a, DiscardShort)
		return
	}
	e.mu.RLock()
	s := e.byDiscriminator[binary.BigEndian.Uint32(d.Payload)]
	e.mu.RUnlock()
	if s == nil || s.nonce != binary.BigEndian.Uint64(d.Payload[4:]) {
		e.discard(d, a, DiscardUnknownDiscriminator)
		return
	}
	s.receiveEcho(a)
}
