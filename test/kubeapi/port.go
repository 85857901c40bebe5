package kubeapi

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// port is one of loopback that is ours for as long as it is held: it is bound with SO_REUSEPORT, and not listened on, so
// that only those who set that option too, for the same user, can listen on it. One that was only looked for may be
// somebody else's, or the source of a connection, before a process has started that listens on it, or while it is restarted.
type port struct {
	number int
	socket int
}

func holdPort() (port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, fmt.Errorf("socket that holds a port: %w", err)
	}
	err = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err == nil {
		err = unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var at unix.Sockaddr
	if err == nil {
		at, err = unix.Getsockname(socket)
	}
	held, ok := at.(*unix.SockaddrInet4)
	if err != nil || !ok {
		_ = unix.Close(socket) // nothing was written to it
		return port{}, fmt.Errorf("hold a port: %w", err)
	}
	return port{held.Port, socket}, nil
}

func (p port) release() {
	if p.socket != 0 {
		_ = unix.Close(p.socket) // nothing was written to it
	}
}
