package port

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// groups are the IPv6 multicast groups that a link belongs to because of layer-2 addresses. They are joined in the kernel's
// IPv6, not by the packet socket, so that it also tells the switches (MLD), which otherwise may keep solicitations from us.
type groups struct {
	index int

	mu      sync.Mutex
	members map[netip.Addr]*member
	sockets []*groupSocket
}

// member is a group that was joined. Several addresses may share it.
type member struct {
	count  int
	socket *groupSocket
}

// groupSocket holds memberships. The kernel limits them for each socket (net.core.optmem_max).
type groupSocket struct {
	fd, members int
}

func newGroups(index int) *groups {
	return &groups{index: index, members: make(map[netip.Addr]*member)}
}

func (g *groups) join(group netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.members[group]; m != nil {
		m.count++
		return nil
	}
	// The emptiest socket has room, or none has.
	if len(g.sockets) > 0 {
		emptiest := slices.MinFunc(g.sockets, func(a, b *groupSocket) int { return cmp.Compare(a.members, b.members) })
		err := g.joinOn(emptiest, group)
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to join groups: %w", err)
	}
	s := &groupSocket{fd: fd}
	if err := g.joinOn(s, group); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	g.sockets = append(g.sockets, s)
	return nil
}

func (g *groups) joinOn(s *groupSocket, group netip.Addr) error {
	if err := unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, g.request(group)); err != nil {
		return fmt.Errorf("join %s: %w", group, err)
	}
	s.members++
	g.members[group] = &member{1, s}
	return nil
}

func (g *groups) leave(group netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.members[group]
	if m == nil {
		return nil
	}
	if m.count--; m.count > 0 {
		return nil
	}
	delete(g.members, group)
	if err := unix.SetsockoptIPv6Mreq(m.socket.fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.request(group)); err != nil {
		return fmt.Errorf("leave %s: %w", group, err)
	}
	m.socket.members--
	return nil
}

func (g *groups) request(group netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.index)}
}

// close leaves all groups.
func (g *groups) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sockets {
		// Closing a socket that was never read or written has nothing to report.
		_ = unix.Close(s.fd)
	}
	g.sockets, g.members = nil, make(map[netip.Addr]*member)
}
