package frame

import (
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Probe makes a question whether an address is taken that changes nobody's cache: an ARP Probe (RFC 5227 section 1.1), or
// a solicitation as Duplicate Address Detection sends it (RFC 4862 section 5.4.2).
func Probe(ours ownership.MAC, address netip.Addr) ([]byte, error) {
	if address.Is4() {
		return arpFrame(Broadcast, arp.OperationRequest, ours, netip.IPv4Unspecified(), nobody, address)
	}
	group := SolicitedNode(address)
	return ndpFrame(groupMAC(group), ours, netip.IPv6Unspecified(), group, &ndp.NeighborSolicitation{TargetAddress: address})
}

// Announcements makes what tells everybody that an address is at ours. For IPv4 that is gratuitous ARP in both forms, as
// MetalLB sends it: some hosts heed only requests, some only replies. For IPv6 it is one advertisement to all nodes that
// overrides what they know (RFC 4861 section 7.2.6), from the address itself, as Linux sends it for an interface's own.
func Announcements(ours ownership.MAC, address netip.Addr) ([][]byte, error) {
	if address.Is4() {
		request, err := arpFrame(Broadcast, arp.OperationRequest, ours, address, Broadcast, address)
		if err != nil {
			return nil, err
		}
		reply, err := arpFrame(Broadcast, arp.OperationReply, ours, address, Broadcast, address)
		if err != nil {
			return nil, err
		}
		return [][]byte{request, reply}, nil
	}
	b, err := ndpFrame(groupMAC(allNodes), ours, address, allNodes, &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: address, Options: linkLayer(ndp.Target, ours),
	})
	if err != nil {
		return nil, err
	}
	return [][]byte{b}, nil
}

// Ask makes a question for an address from one of our own: to the host that is thought to have it, or to everybody if to
// is zero. source is of the family of target.
func Ask(ours ownership.MAC, source netip.Addr, to ownership.MAC, target netip.Addr) ([]byte, error) {
	if target.Is4() {
		if to == nobody {
			to = Broadcast
		}
		return arpFrame(to, arp.OperationRequest, ours, source, nobody, target)
	}
	destination := target
	if to == nobody {
		destination = SolicitedNode(target)
		to = groupMAC(destination)
	}
	return ndpFrame(to, ours, source, destination, &ndp.NeighborSolicitation{
		TargetAddress: target, Options: linkLayer(ndp.Source, ours),
	})
}
