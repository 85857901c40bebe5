package bgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sys/unix"
)

// checkedConn is the connection with a neighbour. It looks at what comes before gobgp does, which
//   - takes any marker for a good one, and ends the process when a message has a type that it does not know, or is an OPEN
//     though the session is established,
//   - cannot read the extended optional parameters of RFC 9072,
//   - does not tell what a NOTIFICATION says that comes before a session is established,
//   - closes connections so that what it said last may be lost,
//   - does not know the Cease subcode of RFC 9384.
type checkedConn struct {
	net.Conn
	fault func(fault)
	farewell
	// rest is what gobgp has not read yet of a message that is fit to be read.
	rest []byte
	// opened and established say how far the neighbour has come.
	opened, established bool
	// answered counts messages that were refused, each with a NOTIFICATION. gobgp knows of neither.
	answered *atomic.Uint64
}

// check wraps a connection with a neighbour, and has the kernel end it when the neighbour takes nothing for as long as most,
// because it has shut its window or is away. What we send waits in the kernel then, so that gobgp, which gives each message
// the hold time to be taken, would notice only when megabytes wait: the nearest thing to the SendHoldTimer of RFC 9687.
func check(conn net.Conn, most time.Duration, report func(fault), answered *atomic.Uint64) *checkedConn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		raw, err := tcp.SyscallConn()
		if err == nil {
			failed := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(min(most, maxHold).Milliseconds()))
			})
			err = errors.Join(err, failed)
		}
		if err != nil { // the connection has just ended
			report(fault{words: fmt.Sprintf("the connection was lost: %v", err), vague: true})
		}
	}
	return &checkedConn{Conn: conn, fault: report, answered: answered}
}

// Read gives whole messages that are well-formed, bit by bit.
func (c *checkedConn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(c.rest) == 0 {
		message, err := c.next()
		if err != nil {
			return 0, err
		}
		c.rest = message
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// errUnfit ends a connection on which something came that is no BGP message.
var errUnfit = errors.New("not a BGP message")

// next reads one message.
func (c *checkedConn) next() ([]byte, error) {
	message := make([]byte, bgppacket.BGP_HEADER_LENGTH, 64)
	for have := 0; have < len(message) && marked(message[:have]); {
		// What is no marker may be all that the peer says: it is not waited for.
		n, err := io.ReadAtLeast(c.Conn, message[have:], 1)
		if err != nil {
			return nil, c.lost(err)
		}
		have += n
	}
	code, subcode, data := headerError(message)
	if code == 0 {
		length := int(binary.BigEndian.Uint16(message[16:]))
		message = append(message, make([]byte, length-len(message))...)
		if _, err := io.ReadFull(c.Conn, message[bgppacket.BGP_HEADER_LENGTH:]); err != nil {
			return nil, c.lost(err)
		}
		message = shortenOpen(message)
		switch code, subcode = c.due(message[18]); {
		case code != 0:
		case !decodes(message):
			code, subcode = bgppacket.BGP_ERROR_MESSAGE_HEADER_ERROR, bgppacket.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH
		case message[18] == bgppacket.BGP_MSG_OPEN && binary.BigEndian.Uint16(message[22:]) == 0:
			// gobgp would give every message of such a session a deadline that has passed.
			code, subcode = bgppacket.BGP_ERROR_OPEN_MESSAGE_ERROR, bgppacket.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME
		}
	}
	if code != 0 {
		c.refuse(code, subcode, data)
		return nil, errUnfit
	}
	c.follow(message)
	return message, nil
}

// headerError is what is wrong with the header of a message, as a NOTIFICATION says it (RFC 4271 section 6.1); code 0: nothing.
func headerError(header []byte) (code, subcode uint8, data []byte) {
	const bad = bgppacket.BGP_ERROR_MESSAGE_HEADER_ERROR
	if !marked(header) {
		return bad, bgppacket.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED, nil
	}
	length, kind := int(binary.BigEndian.Uint16(header[16:])), header[18]
	least, most := bgppacket.BGP_HEADER_LENGTH, bgppacket.BGP_MAX_MESSAGE_LENGTH
	switch kind {
	case bgppacket.BGP_MSG_OPEN:
		least = 29
	case bgppacket.BGP_MSG_UPDATE:
		least = 23
	case bgppacket.BGP_MSG_NOTIFICATION:
		least = 21
	case bgppacket.BGP_MSG_KEEPALIVE:
		most = least
	case bgppacket.BGP_MSG_ROUTE_REFRESH:
		least = 23
	default:
		return bad, bgppacket.BGP_ERROR_SUB_BAD_MESSAGE_TYPE, header[18:19]
	}
	if length < least || length > most {
		return bad, bgppacket.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, header[16:18]
	}
	return 0, 0, nil
}

// marked says whether a header begins with the marker, as far as it goes.
func marked(header []byte) bool {
	n := min(len(header), len(synchronized))
	return bytes.Equal(header[:n], synchronized[:n])
}

var synchronized = bytes.Repeat([]byte{0xff}, 16)

// decodes says whether gobgp can decode a message, if only to find an error in it: should it panic, it shall do so here.
func decodes(message []byte) (can bool) {
	defer func() { can = recover() == nil }()
	header := &bgppacket.BGPHeader{}
	if err := header.DecodeFromBytes(message); err != nil {
		return true
	}
	// What it says of the message is for gobgp to act upon.
	_, _ = bgppacket.ParseBGPBody(header, bytes.Clone(message[bgppacket.BGP_HEADER_LENGTH:]))
	return true
}

// due says what is wrong with a message of this type now (RFC 6608); code 0: nothing.
func (c *checkedConn) due(kind uint8) (code, subcode uint8) {
	fits := kind == bgppacket.BGP_MSG_NOTIFICATION
	switch {
	case !c.opened:
		fits, subcode = fits || kind == bgppacket.BGP_MSG_OPEN, bgppacket.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_OPENSENT_STATE
	case !c.established:
		fits, subcode = fits || kind == bgppacket.BGP_MSG_KEEPALIVE, bgppacket.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_OPENCONFIRM_STATE
	default:
		fits, subcode = kind != bgppacket.BGP_MSG_OPEN, bgppacket.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_ESTABLISHED_STATE
	}
	if fits {
		return 0, 0
	}
	return bgppacket.BGP_ERROR_FSM_ERROR, subcode
}

// follow takes note of a message.
func (c *checkedConn) follow(message []byte) {
	switch message[18] {
	case bgppacket.BGP_MSG_OPEN:
		c.opened = true
	case bgppacket.BGP_MSG_KEEPALIVE:
		c.established = c.established || c.opened
	case bgppacket.BGP_MSG_NOTIFICATION:
		if !c.established {
			c.fault(refusal(message[19], message[20], message[21:]))
		}
	}
}

// refuse ends the connection with a NOTIFICATION.
func (c *checkedConn) refuse(code, subcode uint8, data []byte) {
	words := notificationWords(code, subcode)
	switch [2]uint8{code, subcode} {
	case [2]uint8{bgppacket.BGP_ERROR_MESSAGE_HEADER_ERROR, bgppacket.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED}:
		words += ": what the peer sent is no BGP message"
	case [2]uint8{bgppacket.BGP_ERROR_OPEN_MESSAGE_ERROR, bgppacket.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME}:
		words += ": the peer wants no hold time (it sent 0), which this speaker cannot do; configure one of 3s or more there"
	}
	c.fault(fault{words: words, code: code, subcode: subcode})
	b, err := bgppacket.NewBGPNotificationMessage(code, subcode, data).Serialize()
	if err == nil && c.SetWriteDeadline(time.Now().Add(lastWordPatience)) == nil {
		if _, err = c.Write(b); err == nil {
			c.answered.Add(1)
		}
	}
	_ = err // the connection is closed in any case, and the reason is told
	_ = c.Close()
}

// lost says why there is nothing more to read, where that is known.
func (c *checkedConn) lost(err error) error {
	switch {
	case errors.Is(err, syscall.ETIMEDOUT):
		c.fault(fault{words: "the peer has taken nothing that was sent for the hold time, or cannot be reached any more"})
	case errors.Is(err, syscall.ECONNRESET) && c.established:
		c.fault(fault{words: "the peer reset the connection"})
	}
	return err
}

// refusal words a NOTIFICATION that came instead of a session.
func refusal(code, subcode uint8, data []byte) fault {
	words := "the peer refused the session: " + notificationWords(code, subcode)
	// RFC 9003: a length, and so many bytes of text.
	if code == codeCease && (subcode == bgppacket.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN || subcode == bgppacket.BGP_ERROR_SUB_ADMINISTRATIVE_RESET) && len(data) > 0 {
		if said := data[1:min(len(data), 1+int(data[0]))]; len(said) > 0 {
			words += fmt.Sprintf(": %q", said)
		}
	}
	return fault{words: words, code: code, subcode: subcode, received: true}
}
