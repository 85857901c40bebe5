package l2

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/boottime"
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
		content := item.GetLayer2Address()
		if content == nil {
			continue
		}
		if o, err := s.parseOrder(content); err == nil {
			if have := s.owned[o.address]; have != nil {
				r.Layer2 = append(r.Layer2, s.report(have))
			}
		}
	}
	for _, result := range s.results() {
		if !proto.Equal(s.told[result.GetId()], result) {
			s.told[result.GetId()] = result
			r.Results = append(r.Results, result)
		}
	}
}

// report says what the node does for an address. s.mu is held.
func (s *Speaker) report(o *owned) *ingotv1.Layer2Report {
	r := &ingotv1.Layer2Report{
		Address: o.address.String(), Interfaces: slices.Clone(o.claim.Interfaces()), Term: o.claim.Term(),
		Role: ingotv1.Layer2Address_ROLE_STANDBY, Phase: o.claim.Phase().String(), Reason: s.hindrance(o), Taken: o.claim.Taken(),
		VacantSinceMs: o.shown.vacant.ms(o.claim.VacantSince()),
	}
	if o.owner {
		r.Role = ingotv1.Layer2Address_ROLE_OWNER
	}
	r.Answering = len(r.Interfaces) > 0
	if o.shown.answering != r.Answering || o.shown.since == 0 {
		o.shown.answering, o.shown.since = r.Answering, time.Now().UnixMilli()
	}
	r.SinceMs = o.shown.since
	if rival, ok := o.claim.Rival(); ok {
		r.Rival = &ingotv1.Layer2Rival{
			Interface: rival.Link, Mac: rival.MAC.String(), SinceMs: o.shown.first.ms(rival.First), LastMs: o.shown.last.ms(rival.Last),
		}
		if node, ok := s.segments.Node(rival.Link, rival.MAC); ok {
			r.Rival.Node = node
		}
	}
	return r
}

// hindrance says why an address is not answered, or what is wrong though it is. s.mu is held.
func (s *Speaker) hindrance(o *owned) string {
	if why := o.claim.Reason(); why != "" || len(o.links) > 0 {
		return why
	}
	return whyNone(o.address, o.interfaces, s.links)
}

// shown is what was said of an address, so that the same moment is not told in different words.
type shown struct {
	answering           bool
	since               int64 // Unix time in milliseconds
	vacant, first, last moment
}

// moment is a time since boot, and what it is on the wall clock.
type moment struct {
	at   time.Duration
	unix int64
}

// ms returns at as Unix time in milliseconds; 0 for never.
func (m *moment) ms(at time.Duration) int64 {
	if at != m.at {
		*m = moment{at: at}
		if at != 0 {
			m.unix = boottime.Wall(at).UnixMilli()
		}
	}
	return m.unix
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
	o, err := s.parseOrder(item.GetLayer2Address())
	if err != nil {
		return ingotv1.ItemResult_STATUS_REJECTED, err.Error()
	}
	have := s.owned[o.address]
	switch {
	case !o.owner || have == nil:
		return ingotv1.ItemResult_STATUS_APPLIED, ""
	case have.claim.Phase() == ownership.Answering:
		return ingotv1.ItemResult_STATUS_APPLIED, have.claim.Reason()
	}
	return ingotv1.ItemResult_STATUS_PENDING, s.hindrance(have)
}
