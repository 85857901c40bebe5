package feed

import (
	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

// mostListed bounds each list of texts that a speaker sends of one link.
const mostListed = 64

func linkOf(l *ingotv1.LinkReport) metallb.SpeakerLink {
	return metallb.SpeakerLink{
		Name: cut(l.GetName()), MAC: cut(l.GetMac()), Up: l.GetUp(), Enabled: l.GetEnabled(), Carrier: l.GetCarrier(), Master: cut(l.GetMaster()),
		Addresses: textsOf(l.GetAddresses()), OnLink: textsOf(l.GetOnLink()), NextHops: textsOf(l.GetNextHops()),
		Unfit: cut(l.GetUnfit()), Since: timeOf(l.GetSinceMs()),
	}
}

// textsOf copies a list that a speaker sent; nil where it is empty.
func textsOf(said []string) []string {
	var list []string
	for _, text := range said[:min(len(said), mostListed)] {
		list = append(list, cut(text))
	}
	return list
}

func segmentOf(r *ingotv1.SegmentReport) metallb.SpeakerSegment {
	s := metallb.SpeakerSegment{Interface: cut(r.GetInterface())}
	for _, p := range r.GetPeers() {
		s.Peers = append(s.Peers, metallb.SegmentPeer{
			Node: cut(p.GetNode()), Address: cut(p.GetAddress()), MAC: cut(p.GetMac()), Answer: answerWord(p.GetAnswer()), Since: timeOf(p.GetSinceMs()),
			Heard: p.GetHeard(), BFDStatus: frr.BFDWord(p.GetBfdState()), BFDSince: timeOf(p.GetBfdSinceMs()),
		})
	}
	for _, w := range r.GetWitnesses() {
		s.Witnesses = append(s.Witnesses, metallb.SegmentWitness{
			Address: cut(w.GetAddress()), MAC: cut(w.GetMac()), Answer: answerWord(w.GetAnswer()), Since: timeOf(w.GetSinceMs()), Source: sourceWord(w.GetSource()),
		})
	}
	return s
}

func answerWord(a ingotv1.Answer) string {
	switch a {
	case ingotv1.Answer_ANSWER_ANSWERS:
		return "Answers"
	case ingotv1.Answer_ANSWER_SILENT:
		return "Silent"
	}
	return unknownStatus
}

func sourceWord(s ingotv1.WitnessReport_Source) string {
	switch s {
	case ingotv1.WitnessReport_SOURCE_ORDERED:
		return "Ordered"
	case ingotv1.WitnessReport_SOURCE_NEXT_HOP:
		return "NextHop"
	case ingotv1.WitnessReport_SOURCE_ASKER:
		return "Asker"
	}
	return ""
}
