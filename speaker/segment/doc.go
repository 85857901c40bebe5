// Package segment listens to what is on the links over which layer-2 addresses are reached: other nodes, by BFD (RFC 5880)
// and by asking them, and witnesses, which are hosts that are no nodes. It decides nothing; what it hears is evidence for
// who does, on this node and at the centre.
//
// # Asking
//
// A host is asked for its own address (an ARP request, or a neighbour solicitation), which every host answers. At rest that
// is done at the pace that the centre gives. When an answer is missed, the host is asked again in a burst, every 30 ms, and
// only after 15 misses in a row it counts as silent, so that silence is known about half a second after the first miss. On a
// network that loses many frames it takes more misses, up to 30: as many as would be missed by chance once in ten million
// bursts. One answer ends silence at once.
//
// Half of the questions are sent to the host alone; others are not disturbed by what is asked at rest. On a link whose
// hardware address another node has, everything is asked every ten seconds only, and there is no BFD: each frame from here
// takes the other's traffic away.
//
// A process that got no time does not know what it missed. A question whose time ended while the process slept is asked
// again, and does not count. Where it is some milliseconds late, it looks once more, after it has read what came meanwhile.
package segment
