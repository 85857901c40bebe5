// Package wire is the bfd.Transport of Linux's sockets: control packets of RFC 5881 (UDP 3784) and RFC 5883 (UDP 4784),
// and echo packets of RFC 5881 section 4 (UDP 3785, IPv4). It knows addresses, devices, TTLs and times, and little of
// what the packets say.
//
// There is one receiving socket for each port, family of addresses and VRF that an engine asks for, and a sending socket
// for each session, since its source port is its own. None needs more than CAP_NET_RAW and CAP_NET_ADMIN, and nothing
// is open when there is no session.
//
// Nothing that the machine does to a socket ends a session's use of it. A port that another process holds, an address
// that goes, an interface that is renamed, or deleted and made again: the socket is opened again, at once when links or
// addresses change and otherwise with a growing wait, and meanwhile Wait and Send say why there is none.
//
// # Arrival times
//
// A packet is as old as the kernel says, not as the moment at which this process found time to read it. The kernel stamps
// it with the wall clock; its age is subtracted from the monotonic time of the reading. The wall clock may have been stepped in
// between, so the result is held between the last moment at which the socket was known to be empty and the reading
// itself, both of them monotonic: a step makes a time at worst as imprecise as if there were no stamps.
//
// # A busy machine
//
// With the first session, the whole process asks the scheduler for short time slices, so that it runs soon after a packet
// or a timer wakes it, if not for long, while others keep the cores busy. That needs no capability.
//
// # Echo
//
// Echo packets go to the neighbour's hardware address, from our address to our address. They come back from a packet socket:
// the kernel takes what carries its own source for a spoof ("martian") and drops it, and says so where log_martians
// is set. The neighbour's echo packets are forwarded back by the kernel, like anything else that is not for this node, if
// forwarding is on for the interface, as it is on a node of Kubernetes. Reflects tells; a session whose interface does not
// forward must ask for none (Required Min Echo RX Interval 0) rather than promise what will not happen. That they be
// sent back from here instead was decided against: it is what the kernel does better, and what shows that it forwards.
package wire
