package port

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/boottime"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
)

// receiver is what a receive loop reads with. packet.Conn's own ReadFrom allocates the sender's address for each packet,
// and does not tell when the packet came.
type receiver struct {
	buffer  [frame.MaxLen]byte
	control [64]byte
	vector  unix.Iovec
	header  unix.Msghdr
	n       int
	err     error
	try     func(fd uintptr) bool // made once, so that no closure is allocated for a packet
}

func newReceiver() *receiver {
	r := new(receiver)
	r.vector.Base = &r.buffer[0]
	r.vector.SetLen(len(r.buffer))
	r.header.Iov = &r.vector
	r.header.SetIovlen(1)
	r.header.Control = &r.control[0]
	r.try = r.recvmsg
	return r
}

// receive waits for a packet. The bytes are the receiver's, until it is used again. received is on CLOCK_BOOTTIME.
func (s *socket) receive(r *receiver) (b []byte, received time.Duration, err error) {
	if err := s.raw.Read(r.try); err != nil {
		return nil, 0, err
	}
	if r.err != nil {
		return nil, 0, fmt.Errorf("receive: %w", r.err)
	}
	return r.buffer[:r.n], r.received(), nil
}

// recvmsg returns false if there is nothing to read yet.
func (r *receiver) recvmsg(fd uintptr) bool {
	r.header.SetControllen(len(r.control))
	for {
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.header)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			r.n, r.err = int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			r.n, r.err = 0, errno
		}
		return true
	}
}

// received returns when the kernel received the packet: its time stamp is of the wall clock, which can be set, but its age
// is much the same on every clock.
func (r *receiver) received() time.Duration {
	now := boottime.Now()
	stamp, ok := r.stamp()
	if !ok {
		return now
	}
	return now - max(0, time.Duration(time.Now().UnixNano()-stamp))
}

// stamp returns the kernel's time stamp of the packet in nanoseconds of Unix time, if there is one.
func (r *receiver) stamp() (int64, bool) {
	rest := r.control[:r.header.Controllen]
	for len(rest) >= unix.CmsgLen(0) {
		header, data, remainder, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return 0, false
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano(), true
		}
		rest = remainder
	}
	return 0, false
}
