// Package bfd is an engine for Bidirectional Forwarding Detection: RFC 5880 in asynchronous mode with the echo function,
// over one hop (RFC 5881) and over several (RFC 5883), IPv4 and IPv6.
//
// An Engine holds sessions. Open starts one with a neighbour, given by its Key; from then on the session comes up,
// goes down and comes up again by itself, and tells its owner by a function. Retune changes its Parameters while it
// lasts, AdminDown takes it down on purpose, and Close ends it.
//
// Not every Down is a failure: when either end has taken the session down on purpose, Status.Failed is false, and a
// routing protocol goes on as if there were no BFD (RFC 5882 section 3.2).
//
// # Timing
//
// Nothing is sent more often than once a second until a session is Up (RFC 5880 section 6.8.3). From then on, this end sends
// at the slower of what it wants and what the neighbour accepts, with jitter; and it takes the neighbour for lost after
// the neighbour's multiplier times the slower of what the neighbour wants to send and this end accepts. Parameters that
// change are told by a Poll Sequence; whichever could make the other end see a failure waits until that has answered.
//
// A process that gets no processor time sees no packets, and must not blame its neighbour. Before a session is declared
// Down, all packets that the kernel has received meanwhile are taken in, with the times at which they arrived. On the way of
// a packet through this package nothing is allocated.
//
// # Structure
//
// A machine, which has neither sockets nor clock nor goroutines, keeps the rules of RFC 5880 section 6. A Session drives
// one, from a goroutine of its own. An Engine finds the session that a packet belongs to. Packets come and go through a
// Transport; package wire has the one of Linux's sockets.
//
// Authentication (RFC 5880 section 6.7) is not implemented: authenticated packets are thrown away, and Status.Notices says
// so. Demand mode (section 6.6) is obeyed when the neighbour asks for it, and never asked for.
package bfd
