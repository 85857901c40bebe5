package wire

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize = 32
	// payloadSize is room for an echo packet with its headers, and above the 255 octets that a control packet can have; what
	// is longer is cut.
	payloadSize = ipHeader + udpHeader + echoPayload
	controlSize = 192
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// batch has the buffers for many packets of one call. It must not be copied: headers point into it.
type batch struct {
	headers  [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrAny
	controls [batchSize][controlSize]byte
	payloads [batchSize][payloadSize]byte
}

func newBatch() *batch {
	b := &batch{}
	for i := range b.headers {
		b.vectors[i].Base = &b.payloads[i][0]
		b.vectors[i].SetLen(payloadSize)
		h := &b.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.controls[i][0]
	}
	return b
}

// receive reads as many packets as there are and fit, without blocking, and says how many.
func (b *batch) receive(fd int) (int, error) {
	for i := range b.headers {
		// The kernel has overwritten them with what it used.
		b.headers[i].header.Namelen = unix.SizeofSockaddrAny
		b.headers[i].header.SetControllen(controlSize)
		b.headers[i].header.Flags = 0
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

func (b *batch) payload(i int) []byte {
	return b.payloads[i][:min(int(b.headers[i].length), payloadSize)]
}

func (b *batch) control(i int) []byte {
	return b.controls[i][:min(int(b.headers[i].header.Controllen), controlSize)]
}

func (b *batch) name(i int) *unix.RawSockaddrAny { return &b.names[i] }
