// Package port sends and receives the frames of address resolution on one link.
//
// A port has a packet socket and a receive loop for each family, both with a filter in the kernel, instead of one for
// both: such a socket would have to ask for packets of all protocols, and then the filter would run for every packet of the
// node's IPv4 traffic, too. Packets come with the time at which the kernel received them. Nothing is allocated for a
// packet, from the read to the answer.
//
// A packet socket, not an ICMPv6 one, hears Neighbor Discovery because layer-2 addresses are not bound to the interface: the
// kernel would hand over solicitations to groups, but not those sent to the address itself.
package port
