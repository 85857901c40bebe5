package matrix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// host is a machine on the lan that is no part of the lab: a namespace of this process with a cable to the lab's
// switch. It goes, cable and all, when this process ends.
type host struct {
	*netns.Namespace
	mac MAC
	own map[bool]netip.Addr // by whether they are IPv6
}

// port is the name of its port at the switch.
func (h *host) port() string { return topology.PortName(topology.LAN, h.Name) }

// plug makes a host with addresses and connects it to the lan.
func plug(sw *netns.Namespace, name string, addresses ...netip.Prefix) (*host, error) {
	n, err := netns.Nameless(name)
	if err != nil {
		return nil, err
	}
	h := &host{Namespace: n, own: make(map[bool]netip.Addr)}
	if err := h.connect(sw, addresses); err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", name, err), n.Close())
	}
	return h, nil
}

func (h *host) connect(sw *netns.Namespace, addresses []netip.Prefix) error {
	for _, which := range []string{"all", "default"} { // no waiting for addresses to be usable
		if err := h.Set("net/ipv6/conf/"+which+"/accept_dad", "0"); err != nil {
			return err
		}
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: h.port()}, PeerName: "eth0", PeerNamespace: netlink.NsFd(h.FD())}
	if err := sw.Handle().LinkAdd(veth); err != nil {
		return err
	}
	bridge, err := sw.Handle().LinkByName(topology.LAN)
	if err != nil {
		return err
	}
	port, err := sw.Handle().LinkByName(h.port())
	if err != nil {
		return err
	}
	if err := errors.Join(sw.Handle().LinkSetMaster(port, bridge), sw.Handle().LinkSetUp(port)); err != nil {
		return err
	}
	link, err := h.Handle().LinkByName("eth0")
	if err != nil {
		return err
	}
	h.mac = MAC(link.Attrs().HardwareAddr)
	for _, a := range addresses {
		h.own[a.Addr().Is6()] = a.Addr()
		if err := h.add(a); err != nil {
			return err
		}
	}
	return h.Handle().LinkSetUp(link)
}

// add gives the host another address.
func (h *host) add(a netip.Prefix) error {
	link, err := h.Handle().LinkByName("eth0")
	if err != nil {
		return err
	}
	return h.Handle().AddrAdd(link, address(a))
}

func address(a netip.Prefix) *netlink.Addr {
	n := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
	if a.Addr().Is6() {
		n.Flags = unix.IFA_F_NODAD
	}
	return n
}

// listen opens a packet socket for frames of one type.
func (h *host) listen(etherType int) (c *packet.Conn, err error) {
	err = h.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		c, err = packet.Listen(i, packet.Raw, etherType, nil)
		return err
	})
	return c, err
}

// prober asks the network about every address for as long as it runs, and records who answers.
type prober struct {
	*host
	sockets map[bool]*packet.Conn // by whether they are for IPv6
	name    func(MAC) string
	frames  map[netip.Addr][]byte
	running sync.WaitGroup
	stop    context.CancelFunc

	mu  sync.Mutex
	now *recording
}

func probe(ctx context.Context, h *host, began time.Time, addresses []netip.Addr, name func(MAC) string) (*prober, error) {
	p := &prober{host: h, sockets: make(map[bool]*packet.Conn), name: name, frames: make(map[netip.Addr][]byte)}
	p.now = newRecording(began, addresses)
	for _, a := range addresses {
		p.frames[a] = question(h.mac, h.own[a.Is6()], a)
	}
	ctx, p.stop = context.WithCancel(ctx)
	for six, etherType := range map[bool]int{false: etherARP, true: etherIPv6} {
		c, err := h.listen(etherType)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("host %s: %w", h.Name, err), p.close())
		}
		p.sockets[six] = c
		p.running.Go(func() { p.hear(ctx, c) })
	}
	p.running.Go(func() { every(ctx, Interval, func() { p.ask(addresses) }) })
	return p, nil
}

// begin starts another recording.
func (p *prober) begin(began time.Time, addresses []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = newRecording(began, addresses)
}

// recording is the one that was begun last.
func (p *prober) recording() *recording {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *prober) ask(addresses []netip.Addr) {
	now := p.recording()
	for _, a := range addresses {
		now.asked(a)
		// A frame that cannot be sent, because the cable is out, is one that nobody answers.
		_, _ = p.sockets[a.Is6()].WriteTo(p.frames[a], &packet.Addr{HardwareAddr: net.HardwareAddr(p.frames[a][:6])})
	}
}

func (p *prober) hear(ctx context.Context, c *packet.Conn) {
	frame := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(frame)
		if ctx.Err() != nil {
			return
		}
		// An error tells that the link was down for a moment.
		if err != nil {
			if wait(ctx, Interval) != nil {
				return
			}
			continue
		}
		if a, by, ok := reply(frame[:n], p.mac); ok {
			p.recording().answered(a, -1, p.name(by))
		}
	}
}

func (p *prober) close() error {
	p.stop()
	var errs []error
	for _, c := range p.sockets {
		errs = append(errs, c.Close())
	}
	p.running.Wait()
	return errors.Join(errs...)
}
