// Package l2 answers for addresses on the node's local networks: ARP (RFC 826) for IPv4, Neighbor Discovery (RFC 4861) for
// IPv6.
//
// On every link that qualifies it keeps a port (package port). When to answer, probe and announce is decided by package
// ownership; which links there are is told by netlink. Addresses are never bound to an interface.
package l2
