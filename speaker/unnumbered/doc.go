// Package unnumbered finds the router at the other end of a link, and lets itself be found by it.
//
// A BGP session over an interface, without addresses in its configuration, runs between the link-local addresses of both
// ends. Routers learn each other's from router advertisements (RFC 4861): those that neighbours send are listened to and
// asked for, and ours, with a lifetime of 0 so that no host takes the node for a router, are sent for as long as
// somebody holds the interface.
package unnumbered
