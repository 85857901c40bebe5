package liveness

import (
	"fmt"
	"sync"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/wire"
)

// engine opens BFD sessions; it is the seam for tests.
type engine interface {
	open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error)
	close()
}

// session is what is used of a bfd.Session.
type session interface {
	Retune(bfd.Parameters) error
	AdminDown() <-chan struct{}
	Close()
	Status() bfd.Status
}

// shared is an engine whose sessions may be opened several times: BGP sessions with the same neighbour, on several ports
// or by several names, have one path between them.
type shared struct {
	engine    *bfd.Engine
	transport *wire.Transport

	mu    sync.Mutex
	byKey map[bfd.Key]*common
}

// common is one session and those who have opened it. The first of them has the say on its parameters.
type common struct {
	*bfd.Session
	owners []*share
}

// share is a session as one of its owners sees it.
type share struct {
	of         *shared
	key        bfd.Key
	common     *common
	parameters bfd.Parameters
	changed    func(bfd.Status)
}

func engineOf(e *bfd.Engine, t *wire.Transport) *shared {
	return &shared{engine: e, transport: t, byKey: map[bfd.Key]*common{}}
}

func (e *shared) open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &share{of: e, key: k, parameters: p, changed: changed}
	if s.common = e.byKey[k]; s.common == nil {
		c := &common{}
		opened, err := e.engine.Open(k, p, func(status bfd.Status) { e.tell(c, status) })
		if err != nil {
			return nil, err
		}
		c.Session, s.common, e.byKey[k] = opened, c, c
	}
	s.common.owners = append(s.common.owners, s)
	return s, nil
}

// tell passes on what changed.
func (e *shared) tell(c *common, status bfd.Status) {
	e.mu.Lock()
	owners := append([]*share(nil), c.owners...)
	e.mu.Unlock()
	for _, o := range owners {
		o.changed(status)
	}
}

// close ends the sessions at once.
func (e *shared) close() {
	e.engine.Close()
	e.transport.Close()
}

// Retune changes the parameters, if this owner has the say.
func (s *share) Retune(p bfd.Parameters) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.parameters = p
	if s.common.owners[0] == s {
		return s.common.Session.Retune(p)
	}
	return nil
}

// AdminDown is for all owners.
func (s *share) AdminDown() <-chan struct{} { return s.common.Session.AdminDown() }

// Close ends the session when no owner is left.
func (s *share) Close() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	c := s.common
	for i, o := range c.owners {
		if o != s {
			continue
		}
		c.owners = append(c.owners[:i:i], c.owners[i+1:]...)
		if len(c.owners) == 0 {
			delete(s.of.byKey, s.key)
			c.Session.Close()
		} else if i == 0 {
			// They were checked when they were opened with, and a session that has ended needs none.
			_ = c.Session.Retune(c.owners[0].parameters)
		}
		return
	}
}

// Status is the session's, with a notice where another owner has the say on parameters that differ.
func (s *share) Status() bfd.Status {
	status := s.common.Session.Status()
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if len(s.common.owners) > 0 && s.common.owners[0].parameters != s.parameters {
		status.Notices = append(status.Notices[:len(status.Notices):len(status.Notices)],
			fmt.Sprintf("another BGPPeer with the neighbour %s has another BFDProfile, which is in force", s.key))
	}
	return status
}
