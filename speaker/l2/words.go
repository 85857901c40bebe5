package l2

import "net/netip"

// words are a family's, for the log; MetalLB's where it has them.
type words struct {
	reply, answering string
}

func wordsOf(address netip.Addr) *words {
	if address.Is4() {
		return &arpWords
	}
	return &ndpWords
}

var (
	arpWords = words{reply: "arpReply", answering: "got ARP request for service IP, sending response"}
	ndpWords = words{reply: "ndpReply", answering: "got NDP request for service IP, sending response"}
)
