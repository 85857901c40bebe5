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

	// sending guards what write uses, and with it the order of frames.
	sending sync.Mutex
	frame   []byte
	err     error
	write   func(fd uintptr)      // made once, so that no closure is allocated for a frame
	rewrite func(fd uintptr) bool // likewise
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
	s.write, s.rewrite = s.writeFrame, s.writeFrameOrWait
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
	s.frame = b
	defer func() { s.frame = nil }()
	// Control knows no deadline, which would have to be set for each frame.
	if err := s.raw.Control(s.write); err != nil {
		return err
	}
	if s.err != unix.EAGAIN || !wait {
		return s.err
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if err := s.raw.Write(s.rewrite); err != nil {
		return err
	}
	return s.err
}

func (s *socket) writeFrame(fd uintptr) {
	for {
		if _, s.err = unix.Write(int(fd), s.frame); s.err != unix.EINTR {
			return
		}
	}
}

// writeFrameOrWait returns false to be called again when there is room.
func (s *socket) writeFrameOrWait(fd uintptr) bool {
	s.writeFrame(fd)
	return s.err != unix.EAGAIN
}

func (s *socket) close() error { return s.conn.Close() }
