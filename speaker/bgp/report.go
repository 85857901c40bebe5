package bgp

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Report adds every session to r, and the results that changed since they were last told.
func (s *Speaker) Report(r *ingotv1.Report) {
	// Not while a set is half applied: its results are Apply's to tell.
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, session := range s.list() {
		r.Sessions = append(r.Sessions, session.report())
	}
	results := s.results()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, result := range results {
		if told := s.told[result.GetId()]; told != result && !proto.Equal(told, result) {
			s.told[result.GetId()] = result
			r.Results = append(r.Results, result)
		}
	}
}

// verdict is the result of an item that is not refused, as it was worked out last.
type verdict struct {
	item   *ingotv1.Item
	result *ingotv1.ItemResult
}

// results says what became of each item, as things stand. Those of routes are worked out anew when the route, or
// something that all depend on, has changed. s.applying is held.
func (s *Speaker) results() []*ingotv1.ItemResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.age()
	if age != s.verdictsAge || len(s.verdicts) > 2*len(s.items) {
		s.verdictsAge = age
		clear(s.verdicts)
	}
	results := make([]*ingotv1.ItemResult, 0, len(s.items))
	for _, item := range s.items {
		results = append(results, s.result(item))
	}
	return results
}

// age changes whenever a route's result may, though the route has not. s.mu is held.
func (s *Speaker) age() uint64 {
	age := s.generation
	for _, session := range s.sessions {
		age += session.verdicts()
	}
	return age
}

func (s *Speaker) result(item *ingotv1.Item) *ingotv1.ItemResult {
	id := item.GetId()
	if why, bad := s.errors[id]; bad {
		delete(s.verdicts, id)
		return &ingotv1.ItemResult{Id: id, Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: why}
	}
	if known, ok := s.verdicts[id]; ok && known.item == item {
		return known.result
	}
	result := &ingotv1.ItemResult{Id: id, Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED}
	switch content := item.GetContent().(type) {
	case *ingotv1.Item_BgpSession:
		result.Status, result.Reason = s.sessions[content.BgpSession.GetPeer()].status()
	case *ingotv1.Item_BgpRoute:
		result.Status, result.Reason = s.routeStatus(s.routes[id])
		s.verdicts[id] = verdict{item, result}
	}
	return result
}

// status of the session's item: it is pending while the node has no way at all to the neighbour.
func (s *session) status() (ingotv1.ItemResult_Status, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreachable != "" && s.state != stateEstablished {
		return ingotv1.ItemResult_STATUS_PENDING, s.unreachable
	}
	return ingotv1.ItemResult_STATUS_APPLIED, ""
}

// routeStatus of a route's item: applied when the path is in the RIB of every session that carries its family. A
// route that is for no such session can never be, and is refused, as is one that the guard keeps from any. s.mu is held.
func (s *Speaker) routeStatus(r *route) (ingotv1.ItemResult_Status, string) {
	var waiting, refused, guarded []string
	applied := false
	for peer := range r.peers {
		session := s.sessions[peer]
		switch {
		case session == nil && s.refused[peer] != "":
			waiting = append(waiting, fmt.Sprintf("peer %s: session refused: %s", peer, s.refused[peer]))
		case session == nil:
			waiting = append(waiting, fmt.Sprintf("peer %s: no session on this node", peer))
		case !session.cfg.carries(r.prefix):
			refused = append(refused, fmt.Sprintf("peer %s: the session does not carry the family of %s", peer, r.prefix))
		case session.guarded(r) != "":
			guarded = append(guarded, fmt.Sprintf("peer %s: %s", peer, session.guarded(r)))
		case session.lacksNextHop(r):
			waiting = append(waiting, fmt.Sprintf("peer %s: the interface towards it has no address of the family of %s to use as next hop", peer, r.prefix))
		default:
			applied = true
		}
	}
	slices.Sort(waiting)
	slices.Sort(refused)
	slices.Sort(guarded)
	switch {
	case len(guarded) > 0:
		return ingotv1.ItemResult_STATUS_REJECTED, strings.Join(guarded, "; ")
	case len(waiting) > 0:
		return ingotv1.ItemResult_STATUS_PENDING, strings.Join(waiting, "; ")
	case applied:
		return ingotv1.ItemResult_STATUS_APPLIED, ""
	case len(refused) > 0:
		return ingotv1.ItemResult_STATUS_REJECTED, strings.Join(refused, "; ")
	}
	return ingotv1.ItemResult_STATUS_REJECTED, "the route names no peer"
}

func (s *session) lacksNextHop(r *route) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rib.missing[r.prefix]
}

// guarded is why the guard keeps a route from the neighbour; empty when it does not.
func (s *session) guarded(r *route) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rib.refused[r.prefix]
}

// verdicts counts what changed for routes that did not.
func (s *session) verdicts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rib.verdicts
}

// Explain takes the reasons for which items leave with the next Apply.
func (s *Speaker) Explain(reasons map[string]string) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.reasons = reasons
}

// whyRemoved is the word for why a session ends: MetalLB's, where the centre said one. s.applying is held.
func (s *Speaker) whyRemoved(peer string) string {
	word, _, said := strings.Cut(s.reasons["bgp-session/"+peer], ": ")
	if !said || strings.Contains(word, " ") {
		return "removedFromConfig"
	}
	return word
}
