package agent

import (
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Sessions returns the BGP sessions that the node shall keep, without their passwords, and the names of the peers that
// have one.
func (a *Agent) Sessions() (sessions []*ingotv1.BgpSession, protected []string) {
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.state.Held(ingotv1.Lane_LANE_ROUTING) {
		s := h.Item.GetBgpSession()
		if s == nil {
			continue
		}
		s = proto.CloneOf(s)
		if s.GetPassword() != "" {
			s.Password = ""
			protected = append(protected, s.GetPeer())
		}
		sessions = append(sessions, s)
	}
	return sessions, protected
}

// Routes returns the routes that the node announces by BGP, and to whom.
func (a *Agent) Routes() []*ingotv1.Route {
	up := map[string]*ingotv1.SessionReport{}
	for _, r := range a.Observations().GetSessions() {
		if r.GetState() == "Established" {
			up[r.GetPeer()] = r
		}
	}
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	var routes []*ingotv1.Route
	for _, h := range c.state.Held(ingotv1.Lane_LANE_ROUTING) {
		if h.Item.GetBgpRoute() == nil {
			continue
		}
		r := &ingotv1.Route{Route: h.Item.GetBgpRoute(), Status: h.Status, Reason: h.Reason}
		switch {
		case h.Status != ingotv1.ItemResult_STATUS_REJECTED:
			r.AdvertisedTo = advertisedTo(r.Route, r.Reason, up)
		case h.Good != nil: // what was there before is still announced
			r.AdvertisedTo = advertisedTo(h.Good.GetBgpRoute(), "", up)
		}
		routes = append(routes, r)
	}
	return routes
}

// advertisedTo names the peers that have a route: their sessions are up and carry its family, and reason does not say that
// they lack it; see ingotv1.ItemResult.
func advertisedTo(r *ingotv1.BgpRoute, reason string, up map[string]*ingotv1.SessionReport) []string {
	family := ingotv1.Family_FAMILY_IPV4_UNICAST
	if p, err := netip.ParsePrefix(r.GetPrefix()); err == nil && p.Addr().Is6() {
		family = ingotv1.Family_FAMILY_IPV6_UNICAST
	}
	var peers []string
	for _, ad := range r.GetAdvertisements() {
		for _, peer := range ad.GetPeers() {
			lacks := strings.Contains("; "+reason, "; peer "+peer+": ")
			if slices.Contains(up[peer].GetFamilies(), family) && !lacks {
				peers = append(peers, peer)
			}
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}
