// Package bgp keeps this node's BGP sessions and advertises prefixes over them.
//
// Each session has a BGP instance of its own, with a RIB that holds exactly the paths that this one neighbour
// shall see, with the attributes and next hops meant for it. So no export policy exists, sessions of different
// AS numbers, router IDs or VRFs never meet, one address may be peered with twice, and whatever is done to one
// session touches no other.
//
// Only differences are sent: applying a set of items that is already in force sends nothing. Sessions dial out
// and accept no routes. When the process ends, sessions with graceful restart are ended without a CEASE, so that
// neighbours keep the routes. All others that are closed on purpose are drained before (RFC 8326), and closed with CEASE,
// Administrative Shutdown, or Peer De-configured when they leave the configuration (RFC 4486).
package bgp
