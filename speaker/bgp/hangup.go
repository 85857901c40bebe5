package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// HangUp ends the connections of the sessions with graceful restart without a word, as the end of the process would, and
// does not try them again: their neighbours keep the routes and wait for us (RFC 4724). It comes before whatever else a
// neighbour is told when the process ends: FRR, for one, drops the routes of a session that is up when BFD says AdminDown.
func (s *Speaker) HangUp() {
	neighbours := map[netip.AddrPort]bool{}
	for _, session := range s.list() {
		if to, ok := session.leave(); ok {
			neighbours[to] = true
		}
	}
	if len(neighbours) == 0 {
		return
	}
	if err := hangUp(neighbours); err != nil {
		s.log.Error("cannot end connections; the end of the process will", "op", "hangUp", "error", err)
	}
}

// leave lets a session be as it is from now on. It returns where its neighbour is, if that shall notice.
func (s *session) leave() (neighbour netip.AddrPort, established bool) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.cfg.gracefulRestart || s.state != stateEstablished {
		return netip.AddrPort{}, false
	}
	s.closed = true
	return netip.AddrPortFrom(s.connected.address, s.cfg.port), true
}

// hangUp shuts the TCP connections of this process with these neighbours down. gobgp has no way to do so that does not send
// a CEASE, and does not give its sockets away.
func hangUp(neighbours map[netip.AddrPort]bool) error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, file := range open {
		fd, err := strconv.Atoi(file.Name())
		if err != nil {
			return fmt.Errorf("list open files: %w", err)
		}
		to, err := unix.Getpeername(fd)
		if err != nil || !neighbours[addrPort(to)] {
			continue // no socket, or another one
		}
		if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil && err != unix.ENOTCONN {
			return fmt.Errorf("shut down the connection with %s: %w", addrPort(to), err)
		}
	}
	return nil
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port))
	}
	return netip.AddrPort{}
}
