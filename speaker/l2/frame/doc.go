// Package frame reads and makes the Ethernet frames of address resolution: ARP for IPv4 (RFC 826, RFC 5227) and Neighbor
// Discovery for IPv6 (RFC 4861, RFC 4862). The two are one thing to its callers: a Message asks for an address or says
// who has it. It is pure: no socket, no clock.
//
// Frames are made by mdlayher/arp and mdlayher/ndp. What happens once per received packet, which is reading it and
// answering it, does not allocate: Parse reads in place, and Answers fills in templates that the libraries made once.
package frame
