// Package shared is a BFD engine whose sessions may be opened several times: between two hosts there is one session on a
// link, whoever needs it. BGP sessions with the same neighbour, on several ports or by several names, have one path between
// them, and a node may be watched for layer 2 and be a BGP neighbour as well.
package shared

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/wire"
)

// Engine opens sessions over the node's sockets. Its methods may be called from several goroutines at the same time.
type Engine struct {
	engine *bfd.Engine
	// end is called after the engine has ended.
	end func()

	mu    sync.Mutex
	byKey map[bfd.Key]*common
}

// common is one session and those who have opened it. The first of them has the say on its parameters.
type common struct {
	*bfd.Session
	key    bfd.Key
	owners []*Session
}

// Session is a session as one of its owners sees it.
type Session struct {
	of         *Engine
	common     *common
	parameters bfd.Parameters
	changed    func(bfd.Status)
}

// New returns an engine that opens nothing until a session needs it.
func New(log *slog.Logger) *Engine {
	transport := wire.New(log)
	e := Over(log, transport)
	e.end = transport.Close
	return e
}

// Over returns an engine over a transport, for tests.
func Over(log *slog.Logger, transport bfd.Transport) *Engine {
	return &Engine{engine: bfd.New(bfd.Options{Log: log, Transport: transport}), end: func() {}, byKey: map[bfd.Key]*common{}}
}

// Open starts a session, or joins one that there is between the same hosts. See bfd.Engine's Open.
func (e *Engine) Open(k bfd.Key, p bfd.Parameters, changed func(bfd.Status)) (*Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &Session{of: e, parameters: p, changed: changed}
	if s.common = e.find(k); s.common == nil {
		c := &common{key: k}
		opened, err := e.engine.Open(k, p, func(status bfd.Status) { e.tell(c, status) })
		if err != nil {
			return nil, err
		}
		c.Session, s.common, e.byKey[k] = opened, c, c
	}
	s.common.owners = append(s.common.owners, s)
	return s, nil
}

// find returns the session between the hosts of k: packets of two, one of which leaves the interface open, could not be
// told apart. e.mu is held.
func (e *Engine) find(k bfd.Key) *common {
	if c := e.byKey[k]; c != nil {
		return c
	}
	for have, c := range e.byKey {
		open := have
		if have.Interface == "" || k.Interface == "" {
			open.Interface = k.Interface
		}
		if !have.Local.IsValid() || !k.Local.IsValid() {
			open.Local = k.Local
		}
		if open == k && !k.MultiHop {
			return c
		}
	}
	return nil
}

// tell passes on what changed.
func (e *Engine) tell(c *common, status bfd.Status) {
	e.mu.Lock()
	owners := append([]*Session(nil), c.owners...)
	e.mu.Unlock()
	for _, o := range owners {
		o.changed(status)
	}
}

// Close ends the sessions at once.
func (e *Engine) Close() {
	e.engine.Close()
	e.end()
}

// Retune changes the parameters, if this owner has the say.
func (s *Session) Retune(p bfd.Parameters) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.parameters = p
	if s.common.owners[0] == s {
		return s.common.Session.Retune(p)
	}
	return nil
}

// AdminDown is for all owners. See bfd.Session's AdminDown.
func (s *Session) AdminDown() <-chan struct{} { return s.common.Session.AdminDown() }

// Close ends the session when no owner is left. An owner that has closed is told nothing more, but for what it is being
// told at this moment.
func (s *Session) Close() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	c := s.common
	for i, o := range c.owners {
		if o != s {
			continue
		}
		c.owners = append(c.owners[:i:i], c.owners[i+1:]...)
		if len(c.owners) == 0 {
			delete(s.of.byKey, c.key)
			c.Session.Close()
		} else if i == 0 {
			// They were checked when they were opened with, and a session that has ended needs none.
			_ = c.Session.Retune(c.owners[0].parameters)
		}
		return
	}
}

// Heard is bfd.Session's Heard.
func (s *Session) Heard() (last, up time.Duration) { return s.common.Session.Heard() }

// Status is the session's, with a notice where another owner has the say on parameters that differ.
func (s *Session) Status() bfd.Status {
	status := s.common.Session.Status()
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if len(s.common.owners) > 0 && s.common.owners[0].parameters != s.parameters {
		status.Notices = append(status.Notices[:len(status.Notices):len(status.Notices)],
			fmt.Sprintf("the neighbour %s is watched for another BGPPeer or for layer 2 as well, with other parameters, which are in force", s.common.key))
	}
	return status
}
