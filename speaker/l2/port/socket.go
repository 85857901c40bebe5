package port

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// sendTimeout bounds a send that waits, which it does only while the interface's queue is full.
	sendTimeout = 100 * time.Millisecond
	// receiveBuffer is what the kernel is asked to queue, in bytes: a thousand packets or so, which is a tenth of a second
	// in a flood of 10,000 a second.
	receiveBuffer = 1 << 20
)

// socket is a packet socket for one protocol on one link.
type socket struct {
	conn *packet.Conn
	raw  syscall.RawConn
	// answer is the receive loop's: where it makes answers.
	answer []byte

	// sending guards what try uses, and with it the order of frames.
	sending sync.Mutex
	frame   []byte
	err     error
	try     func(fd uintptr) bool // made once, so that no closure is allocated for a frame
	wait    bool
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
	s.try = s.write
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
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return
		}
		// Beyond the system's limit only with CAP_NET_ADMIN.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	})
	return errors.Join(failed, err)
}

// send sends a frame. wait says to wait while the interface's queue is full, up to sendTimeout.
func (s *socket) send(b []byte, wait bool) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if wait {
		if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
			return err
		}
	}
	s.frame, s.wait, s.err = b, wait, nil
	err := s.raw.Write(s.try)
	s.frame = nil
	if err == nil {
		err = s.err
	}
	return err
}

// write is what send has done with the socket. It returns false to be called again when there is room.
func (s *socket) write(fd uintptr) bool {
	for {
		_, err := unix.Write(int(fd), s.frame)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN && s.wait:
			return false
		}
		s.err = err
		return true
	}
}

func (s *socket) close() error { return s.conn.Close() }
