package listen

import (
	"net"
	"sync"
)

// Fair bounds how many connections of l are open at once, whoever opens them. When there are most, a newcomer takes the
// place of the newest connection of the host that has the most, or is closed where its own host has as many: whoever
// opens thousands of connections is in the way of itself alone.
func Fair(l net.Listener, most int) net.Listener {
	return &fair{Listener: l, most: most, open: map[string][]*fairConn{}}
}

type fair struct {
	net.Listener
	most int

	mu   sync.Mutex
	n    int
	open map[string][]*fairConn // by host, in order of arrival
}

// fairConn counts for as long as it is open.
type fairConn struct {
	net.Conn
	l    *fair
	host string
	once sync.Once
}

// Accept implements net.Listener.
func (f *fair) Accept() (net.Conn, error) {
	for {
		conn, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &fairConn{Conn: conn, l: f, host: hostOf(conn.RemoteAddr())}
		loser := f.admit(c)
		if loser != nil {
			_ = loser.Close() // it goes one way or the other
		}
		if loser != c {
			return c, nil
		}
	}
}

// admit counts c and says which connection, c or another, must go.
func (f *fair) admit(c *fairConn) *fairConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	var loser *fairConn
	if f.n >= f.most {
		greedy, share := "", len(f.open[c.host])+1
		for host, conns := range f.open {
			if len(conns) > share {
				greedy, share = host, len(conns)
			}
		}
		if greedy == "" {
			return c
		}
		conns := f.open[greedy]
		loser = conns[len(conns)-1]
	}
	f.n++
	f.open[c.host] = append(f.open[c.host], c)
	return loser
}

// Close implements net.Conn.
func (c *fairConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

func (c *fairConn) leave() {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	conns := c.l.open[c.host]
	for i, other := range conns {
		if other == c {
			c.l.n--
			c.l.open[c.host] = append(conns[:i:i], conns[i+1:]...)
			break
		}
	}
	if len(c.l.open[c.host]) == 0 {
		delete(c.l.open, c.host)
	}
}

// hostOf is the address without the port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
