package wire

import (
	"errors"
	"math/rand/v2"
	"sync"

	"golang.org/x/sys/unix"
)

// Source ports of sessions (RFC 5881 section 4).
const (
	firstPort = 49152
	lastPort  = 65535
)

// errPorts says that every port is taken.
var errPorts = errors.New("no source port between 49152 and 65535 is free")

// ports has those that sessions use, whatever address and device they are bound to: RFC 5881 wants them unique.
type ports struct {
	mu    sync.Mutex
	taken map[uint16]struct{}
}

// claim finds a port that no session has and that try binds, beginning with wanted, which the session already has, if
// that is not 0.
func (p *ports) claim(wanted uint16, try func(port uint16) error) (uint16, error) {
	if wanted != 0 {
		err := try(wanted)
		if err == nil || !errors.Is(err, unix.EADDRINUSE) {
			return wanted, err
		}
		p.release(wanted) // another process took it while the socket was closed
	}
	const all = lastPort - firstPort + 1
	start := rand.IntN(all)
	for i := range all {
		port := uint16(firstPort + (start+i)%all)
		if !p.take(port) {
			continue
		}
		err := try(port)
		if err == nil {
			return port, nil
		}
		p.release(port)
		if !errors.Is(err, unix.EADDRINUSE) {
			return 0, err
		}
	}
	return 0, errPorts
}

func (p *ports) take(port uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.taken[port]; taken {
		return false
	}
	p.taken[port] = struct{}{}
	return true
}

func (p *ports) release(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}
