package liveness

import (
	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
)

// engine opens BFD sessions; it is the seam for tests.
type engine interface {
	open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error)
}

// session is what is used of a shared.Session.
type session interface {
	Retune(bfd.Parameters) error
	AdminDown() <-chan struct{}
	Close()
	Status() bfd.Status
}

// opener is the engine that is shared.
type opener struct{ *shared.Engine }

func (o opener) open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error) {
	return o.Open(k, p, changed)
}
