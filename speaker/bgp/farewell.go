package bgp

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

const (
	// lastWordPatience is how long a neighbour may take to accept a NOTIFICATION.
	lastWordPatience = time.Second
	// farewellPatience is how long it may take to read it, and to end the connection. A busy one has much else to read before.
	farewellPatience = 5 * time.Second
)

// farewell is how a connection on which a NOTIFICATION was sent ends. To close it while something is unread, as when a
// neighbour has sent too many routes and is sending more, would have the kernel reset it, and the neighbour throw the
// NOTIFICATION away unread.
type farewell struct {
	said, closed, hungUp atomic.Bool
	// reading is held by who reads.
	reading sync.Mutex
	once    sync.Once
}

// Write sends what gobgp says, a whole message at a time.
func (c *checkedConn) Write(b []byte) (int, error) {
	if c.hungUp.Load() {
		return 0, net.ErrClosed
	}
	if _, err := c.Conn.Write(withSubcode(b)); err != nil {
		return 0, err
	}
	if len(b) > 18 && b[18] == bgppacket.BGP_MSG_NOTIFICATION {
		c.said.Store(true)
	}
	return len(b), nil
}

// withSubcode returns the message to send for one of gobgp's: an Administrative Reset because the path is down, which is what
// gobgp can be asked for, becomes a Cease, BFD Down (RFC 9384). That has no words.
func withSubcode(message []byte) []byte {
	if len(message) < 22 || message[18] != bgppacket.BGP_MSG_NOTIFICATION || message[19] != codeCease || message[20] != ceaseReset ||
		!bytes.HasPrefix(message[22:], []byte(pathDownWords)) {
		return message
	}
	short := append([]byte(nil), message[:21]...)
	short[20] = ceasePathDown
	binary.BigEndian.PutUint16(short[16:], uint16(len(short)))
	return short
}

// hangUp ends the connection now, without a word, as the end of the process would.
func (c *checkedConn) hangUp() {
	c.hungUp.Store(true)
	_ = c.Conn.Close() // it may have ended by itself
}

// Close ends the connection. After a NOTIFICATION, whatever the neighbour sends is read in vain, until it ends the connection
// or its time is over. Nobody waits for that.
func (c *checkedConn) Close() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !c.said.Load() || !ok {
		return c.Conn.Close()
	}
	c.once.Do(func() {
		c.closed.Store(true)
		if half.CloseWrite() != nil || c.SetReadDeadline(time.Now()) != nil { // it has ended
			_ = c.Conn.Close()
			return
		}
		go c.drain()
	})
	return nil
}

// drain begins when the reader has noticed that the connection is closed. One that comes later finds nothing to read.
func (c *checkedConn) drain() {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.SetReadDeadline(time.Now().Add(farewellPatience)) == nil {
		_, _ = io.Copy(io.Discard, struct{ net.Conn }{c.Conn}) // how it ends does not matter
	}
	_ = c.Conn.Close()
}
