package l2

import (
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Report adds the links and addresses to r, and the results that changed since they were last told.
func (s *Speaker) Report(r *ingotv1.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		r.Links = append(r.Links, l.Report())
	}
	s.segments.Report(r)
	for _, item := range s.items {
		o, err := parseOrder(item.GetLayer2Address())
		if err != nil || item.GetLayer2Address() == nil {
			continue
		}
		report := &ingotv1.Layer2Report{Address: o.address.String(), Term: o.term}
		if have := s.owned[o.address]; have != nil {
			report.Term = have.claim.Term()
			report.Interfaces = append(report.Interfaces, have.claim.Interfaces()...)
			report.Answering = len(report.Interfaces) > 0
		}
		r.Layer2 = append(r.Layer2, report)
	}
	for _, result := range s.results() {
		if !proto.Equal(s.told[result.GetId()], result) {
			s.told[result.GetId()] = result
			r.Results = append(r.Results, result)
		}
	}
}

// results says what became of each item, as things stand. s.mu is held.
func (s *Speaker) results() []*ingotv1.ItemResult {
	results := make([]*ingotv1.ItemResult, 0, len(s.items))
	for _, item := range s.items {
		result := &ingotv1.ItemResult{Id: item.GetId(), Digest: item.GetDigest()}
		result.Status, result.Reason = s.status(item)
		results = append(results, result)
	}
	return results
}

// status of an item. A standby's is applied once it is known; an owner's once it answers.
func (s *Speaker) status(item *ingotv1.Item) (ingotv1.ItemResult_Status, string) {
	if why := s.refused[item.GetId()]; why != "" {
		return ingotv1.ItemResult_STATUS_REJECTED, why
	}
	if item.GetLayer2Segment() != nil {
		return ingotv1.ItemResult_STATUS_APPLIED, "" // whether there is such a link is a fact of its own
	}
	o, err := parseOrder(item.GetLayer2Address())
	if err != nil {
		return ingotv1.ItemResult_STATUS_REJECTED, err.Error()
	}
	have := s.owned[o.address]
	switch {
	case !o.owner || have == nil:
		return ingotv1.ItemResult_STATUS_APPLIED, ""
	case have.claim.Phase() == ownership.Answering:
		return ingotv1.ItemResult_STATUS_APPLIED, have.claim.Reason()
	case have.claim.Phase() == ownership.Waiting:
		return ingotv1.ItemResult_STATUS_PENDING, whyNone(o.address, o.interfaces, s.links)
	}
	return ingotv1.ItemResult_STATUS_PENDING, have.claim.Reason()
}
