package l2

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// sendTimeout bounds a send, which waits only while the interface's queue is full.
const sendTimeout = 100 * time.Millisecond

// responder is a packet socket on one link.
type responder struct {
	link link
	log  *slog.Logger
	conn *packet.Conn
	// broken is set when the socket can be read no more.
	broken atomic.Bool
}

// newResponder opens the socket. hear is called for each ARP packet, one at a time, until close; failed when the socket
// broke, as it does when the link goes down.
func newResponder(l link, log *slog.Logger, hear func(*responder, message), failed func()) (*responder, error) {
	f, err := filter()
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: l.index, Name: l.name, HardwareAddr: l.mac[:]},
		packet.Raw, int(ethernet.EtherTypeARP), &packet.Config{Filter: f})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", l.name, err)
	}
	r := &responder{link: l, log: log.With("interface", l.name), conn: conn}
	r.log.Info("created ARP responder for interface", "event", "createARPResponder")
	go r.read(hear, failed)
	return r, nil
}

func (r *responder) read(hear func(*responder, message), failed func()) {
	buffer := make([]byte, 1514)
	for {
		n, _, err := r.conn.ReadFrom(buffer)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				r.log.Debug("the ARP responder's socket broke", "error", err)
				r.broken.Store(true)
				failed()
			}
			return
		}
		if m, ok := parse(buffer[:n]); ok {
			hear(r, m)
		}
	}
}

// send writes one frame.
func (r *responder) send(frame []byte) error {
	if err := r.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("send on %s: %w", r.link.name, err)
	}
	if _, err := r.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		return fmt.Errorf("send on %s: %w", r.link.name, err)
	}
	return nil
}

// close ends the responder.
func (r *responder) close() {
	if err := r.conn.Close(); err != nil {
		r.log.Warn("closing the ARP responder", "error", err)
	}
	r.log.Info("deleted ARP responder for interface", "event", "deleteARPResponder")
}
