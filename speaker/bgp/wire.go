package bgp

import (
	"errors"
	"net/netip"
	"time"
)

// wire is one BGP instance with one neighbour. It is the seam between this package's decisions and gobgp, whose
// types go no further than gobgp.go.
type wire interface {
	// add puts paths into the RIB, replacing those of the same prefix.
	add(paths []path) error
	// remove takes paths out of the RIB.
	remove(paths []path) error
	// connect starts the session. restarting says that the neighbour may still hold our routes under graceful
	// restart (RFC 4724 section 4.1).
	connect(cfg sessionConfig, to target, restarting bool) error
	// disconnect ends the session with CEASE, Peer De-configured, if it is up; paths stay in the RIB.
	disconnect() error
	// reset ends the session with CEASE, Administrative Reset, and words for it (RFC 9003), if it is up.
	reset(words string) error
	// shutdown ends the session with CEASE, Administrative Shutdown, and words for it (RFC 9003), if it is up, and does not
	// connect again.
	shutdown(words string) error
	// negotiated says what both sides agreed to; errNoSession where there is no session (any more).
	negotiated() (agreement, error)
	// counters returns the messages exchanged since the instance was opened.
	counters() (counters, error)
	// hangUp ends the connection without a word, as the end of the process would.
	hangUp()
	// close ends the session as disconnect does and frees the instance, in the background.
	close()
}

// opener makes wires. observe is called for each change of state, one call at a time; fault with words for what
// went wrong, from any goroutine, and must not call the wire.
type opener interface {
	open(cfg sessionConfig, routerID netip.Addr, observe func(transition), fault func(fault)) (wire, error)
}

// way is where a neighbour is.
type way struct {
	// address is the neighbour's, without a zone: a link-local one is found through device.
	address netip.Addr
	// device is what the connection is bound to, a VRF or an interface; empty for none.
	device string
	// index of the device and own address on it, for a link-local neighbour: when they change, so does the session.
	index int
	local netip.Addr
}

// target is where and how a session connects: what is configured, with what the node found out filled in.
type target struct {
	way
	// peerASN is what the neighbour must say in its OPEN; 0 for any.
	peerASN      uint32
	connectRetry time.Duration
}

// errNoSession says that there is no session, as when news of one are old.
var errNoSession = errors.New("no session is established")

// agreement is what two OPEN messages come to.
type agreement struct {
	// ipv4 and ipv6 are the families that the neighbour understands.
	ipv4, ipv6 bool
	// extendedNextHop says that it takes IPv6 next hops for IPv4 prefixes (RFC 8950).
	extendedNextHop bool
	// hold is the hold time in force, 0 for none; keepalive is how often we send.
	hold, keepalive time.Duration
}

// state is a state of RFC 4271 section 8.2.2, by its name there.
type state string

const (
	stateIdle        state = "Idle"
	stateConnect     state = "Connect"
	stateActive      state = "Active"
	stateOpenSent    state = "OpenSent"
	stateOpenConfirm state = "OpenConfirm"
	stateEstablished state = "Established"
)

// transition is a change of state that a wire observed.
type transition struct {
	state state
	// peerASN is what the neighbour said in its OPEN.
	peerASN uint32
	// localASN is what we said in ours.
	localASN uint32
	// peerID is the neighbour's BGP identifier, and local our address; both are known once there is a session.
	peerID, local string
	// prefixLimit is the limit of prefixes of one family that the neighbour went beyond, so that the instance shut
	// itself; 0 when it did not.
	prefixLimit int
}

// counters count messages as FRR and MetalLB do.
type counters struct {
	opensSent, opensReceived           uint64
	updatesSent, updatesReceived       uint64
	keepalivesSent, keepalivesReceived uint64
	notificationsSent                  uint64
	notificationsReceived              uint64
	refreshSent                        uint64
	totalSent, totalReceived           uint64
	// prefixesRefused is how many prefixes the neighbour sends now, all in vain. It does not add up.
	prefixesRefused uint64
}

func (c counters) plus(d counters) counters {
	c.opensSent += d.opensSent
	c.opensReceived += d.opensReceived
	c.updatesSent += d.updatesSent
	c.updatesReceived += d.updatesReceived
	c.keepalivesSent += d.keepalivesSent
	c.keepalivesReceived += d.keepalivesReceived
	c.notificationsSent += d.notificationsSent
	c.notificationsReceived += d.notificationsReceived
	c.refreshSent += d.refreshSent
	c.totalSent += d.totalSent
	c.totalReceived += d.totalReceived
	c.prefixesRefused = d.prefixesRefused
	return c
}
