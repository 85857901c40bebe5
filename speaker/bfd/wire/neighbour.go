package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

// usable are the states in which the kernel itself would send to a neighbour (RFC 4861 section 7.3.2 names them).
const usable = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP

// followNeighbour calls learn with the link and link-layer address by which the neighbour of k is reached, whenever the
// kernel learns it, until ctx ends or something fails. The kernel keeps it fresh because control packets use it.
func followNeighbour(ctx context.Context, k bfd.Key, learn func(index int, mac [6]byte)) error {
	done := make(chan struct{})
	failed := make(chan error, 1)
	updates := make(chan netlink.NeighUpdate, 64)
	err := netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{ErrorCallback: func(err error) {
		select {
		case failed <- err:
		default: // the first failure is enough
		}
	}})
	if err != nil {
		return fmt.Errorf("subscribe to neighbours: %w", err)
	}
	defer func() {
		close(done)
		for range updates { // until the subscription has ended
		}
	}()
	index, err := neighbourLink(k)
	if err != nil {
		return err
	}
	// Whatever was learnt before the subscription stood is looked at now.
	known, err := netlink.NeighList(index, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	consider := func(n netlink.Neigh) {
		if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == k.Remote && n.LinkIndex == index && n.State&usable != 0 && len(n.HardwareAddr) == 6 {
			learn(index, [6]byte(n.HardwareAddr))
		}
	}
	for _, n := range known {
		consider(n)
	}
	// Routes may come to lead elsewhere; a subscription to all of them would cost more than a look now and then.
	again := time.NewTicker(longestWait)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("watch neighbours: %w", err)
		case u, ok := <-updates:
			if !ok {
				return errors.New("the subscription to neighbours ended")
			}
			if u.Type == unix.RTM_NEWNEIGH {
				consider(u.Neigh)
			}
		case <-again.C:
			now, err := neighbourLink(k)
			if err != nil {
				return err
			}
			if now != index {
				return fmt.Errorf("%s is reached by another interface now", k.Remote)
			}
		}
	}
}

// neighbourLink returns the index of the interface on which the remote of k is a neighbour.
func neighbourLink(k bfd.Key) (int, error) {
	if k.Interface != "" {
		link, err := net.InterfaceByName(k.Interface)
		if err != nil {
			return 0, fmt.Errorf("interface %s: %w", k.Interface, err)
		}
		return link.Index, nil
	}
	options := &netlink.RouteGetOptions{VrfName: k.VRF}
	if k.Local.IsValid() {
		options.SrcAddr = k.Local.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(k.Remote.AsSlice(), options)
	if err != nil {
		return 0, fmt.Errorf("route to %s: %w", k.Remote, err)
	}
	for _, r := range routes {
		if r.Gw == nil && r.Via == nil && r.LinkIndex != 0 {
			return r.LinkIndex, nil
		}
	}
	return 0, fmt.Errorf("%s is not on a link of this node, so that there is nobody to send echo packets to", k.Remote)
}

// Reflects implements bfd.Transport. The kernel sends back the neighbour's echo packets, which are from the neighbour to
// the neighbour, as it forwards anything else: if it forwards what comes in by that interface.
func (t *Transport) Reflects(k bfd.Key) bool {
	if !k.Remote.Is4() || k.MultiHop {
		return false
	}
	index, err := neighbourLink(k)
	if err != nil {
		return false
	}
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", link.Name, "forwarding"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// linkOf reads the interface that recvmsg gave with a packet of a packet socket.
func linkOf(name *unix.RawSockaddrAny) int {
	if name.Addr.Family != unix.AF_PACKET {
		return 0
	}
	return int((*unix.RawSockaddrLinklayer)(unsafe.Pointer(name)).Ifindex)
}
