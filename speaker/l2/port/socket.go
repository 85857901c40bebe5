package port

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// queue is what the kernel is asked to keep in each direction, in bytes. It is a thousand frames or so: a tenth of a second
// of a flood of 10,000 a second, or half of what announces a thousand addresses of IPv4 at once.
const queue = 1 << 20

// socket is a packet socket for one protocol on one link.
type socket struct {
	conn *packet.Conn
	raw  syscall.RawConn
	// answer is the receive loop's: where it makes answers.
	answer []byte

	// sending guards what write uses, and with it the order of frames.
	sending sync.Mutex
	frame   []byte
	err     error
	write   func(fd uintptr) // made once, so that no closure is allocated for a frame
}

func newSocket(l Link, protocol ethernet.EtherType, filter func() ([]bpf.RawInstruction, error)) (*socket, error) {
	program, err := filter()
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC[:]},
		packet.Raw, int(protocol), &packet.Config{Filter: program})
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &socket{conn: conn, answer: make([]byte, 0, 128)}
	s.write = s.writeFrame
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.configure()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket: %w", err), conn.Close())
	}
	return s, nil
}

// configure has the kernel say when it received a packet, and queue more of them.
func (s *socket) configure() error {
	var err error
	failed := s.raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			enlarge(int(fd), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF),
			enlarge(int(fd), unix.SO_SNDBUFFORCE, unix.SO_SNDBUF),
		)
	})
	return errors.Join(failed, err)
}

// enlarge sets the size of a queue: with force beyond the system's limit, which takes CAP_NET_ADMIN, or else up to it.
func enlarge(fd, force, limited int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, queue) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, limited, queue)
}

// send sends a frame. It does not wait: when the interface's queue is full the interface stands still, and whatever is
// sent here is sent again later, or asked for again.
func (s *socket) send(b []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.frame = b
	err := s.raw.Control(s.write)
	s.frame = nil
	if err == nil {
		err = s.err
	}
	return err
}

func (s *socket) writeFrame(fd uintptr) {
	for {
		if _, s.err = unix.Write(int(fd), s.frame); s.err != unix.EINTR {
			return
		}
	}
}

func (s *socket) close() error { return s.conn.Close() }
