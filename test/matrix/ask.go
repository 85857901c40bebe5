package matrix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/web"
)

// Interval is how often every address is asked for.
const Interval = 10 * time.Millisecond

// recording collects the tracks of several addresses.
type recording struct {
	began time.Time

	mu     sync.Mutex
	tracks map[netip.Addr]*Track
}

func newRecording(began time.Time, addresses []netip.Addr) *recording {
	r := &recording{began: began, tracks: make(map[netip.Addr]*Track)}
	for _, a := range addresses {
		r.tracks[a] = &Track{}
	}
	return r
}

// asked notes a request and returns its number.
func (r *recording) asked(a netip.Addr) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tracks[a]
	t.Asked = append(t.Asked, time.Since(r.began))
	return len(t.Asked) - 1
}

// answered notes an answer about one of the addresses.
func (r *recording) answered(a netip.Addr, of int, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tracks[a]; t != nil && of < len(t.Asked) {
		t.Answers = append(t.Answers, Answer{At: time.Since(r.began), Of: of, By: by})
	}
}

// window is a copy of what was recorded of an address between two times.
func (r *recording) window(a netip.Addr, from, to time.Duration) Track {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.tracks[a].Window(from, to)
	w.Asked = append([]time.Duration(nil), w.Asked...)
	return w
}

// requests asks every address for an echo from a place, as any client would: over UDP, with an answer by a Pod that the
// node's kube-proxy leads to, and with whatever its kernel knows about its neighbours.
type requests struct {
	*recording
	sockets map[netip.Addr]*net.UDPConn
	running sync.WaitGroup
	stop    context.CancelFunc
}

func request(ctx context.Context, from *netns.Namespace, began time.Time, addresses []netip.Addr) (*requests, error) {
	r := &requests{recording: newRecording(began, addresses), sockets: make(map[netip.Addr]*net.UDPConn)}
	err := from.Do(func() error {
		for _, a := range addresses {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, web.EchoPort)))
			if err != nil {
				return err
			}
			r.sockets[a] = c
			// While the kernel does not know the neighbour's hardware address, what waits for it counts as unsent.
			if err := c.SetWriteBuffer(4 << 20); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, r.stop = context.WithCancel(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("requests from %s: %w", from.Name, err), r.close())
	}
	for a, c := range r.sockets {
		r.running.Go(func() { r.hear(ctx, a, c) })
	}
	r.running.Go(func() { every(ctx, Interval, func() { r.ask(addresses) }) })
	return r, nil
}

func (r *requests) ask(addresses []netip.Addr) {
	for _, a := range addresses {
		var datagram [8]byte
		binary.BigEndian.PutUint64(datagram[:], uint64(r.asked(a)))
		// That nobody can be reached is what is being measured.
		_, _ = r.sockets[a].Write(datagram[:])
	}
}

func (r *requests) hear(ctx context.Context, a netip.Addr, c *net.UDPConn) {
	var datagram [16]byte
	for {
		n, err := c.Read(datagram[:])
		if ctx.Err() != nil {
			return
		}
		// Other errors are what ICMP says about requests that were lost.
		if err == nil && n == 8 {
			r.answered(a, int(binary.BigEndian.Uint64(datagram[:])), "")
		}
	}
}

// close ends the requests. What was recorded stays.
func (r *requests) close() error {
	r.stop()
	var errs []error
	for _, c := range r.sockets {
		errs = append(errs, c.Close())
	}
	r.running.Wait()
	return errors.Join(errs...)
}

// every calls f at an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}
