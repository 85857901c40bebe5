package agent

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// State returns who the speaker is, whom it obeys and how much it holds.
func (a *Agent) State() *ingotv1.GetStateResponse {
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.state.Standing()
	out := &ingotv1.GetStateResponse{
		Node: c.node, Version: a.opts.Version, Instance: a.instance, Started: timestamppb.New(a.started),
		Lineage: st.Lineage, Epoch: st.Epoch, Revision: st.Revision, Adoption: st.Adoption,
		Streams:  c.streamStates(),
		Items:    map[string]uint32{},
		Refusing: c.refusing,
	}
	for _, kind := range desired.Features() {
		out.Items[kind] = 0
	}
	for _, lane := range desired.Lanes {
		for _, h := range c.state.Held(lane) {
			out.Items[kindOf(h.Item)]++
		}
	}
	return out
}

// kindOf is the field name of the item's content.
func kindOf(item *ingotv1.Item) string {
	m := item.ProtoReflect()
	if field := m.WhichOneof(m.Descriptor().Oneofs().ByName("content")); field != nil {
		return string(field.Name())
	}
	return "unknown"
}

// Observations returns what the announcers see now: BGP and BFD sessions, layer-2 addresses and links.
func (a *Agent) Observations() *ingotv1.Report {
	for _, announcer := range a.opts.Announcers {
		if r, ok := announcer.(refresher); ok {
			r.Refresh()
		}
	}
	return a.core.observe(withoutCounters)
}

// Announcements returns the prefixes and addresses that the node shall announce, and what became of each.
func (a *Agent) Announcements() []*ingotv1.Announcement {
	answering := map[string]*ingotv1.Layer2Report{}
	for _, r := range a.core.observe(withoutCounters).GetLayer2() {
		answering[r.GetAddress()] = r
	}
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*ingotv1.Announcement
	for _, lane := range desired.Lanes {
		for _, h := range c.state.Held(lane) {
			if ann := announcementOf(h, answering); ann != nil {
				out = append(out, ann)
			}
		}
	}
	return out
}

// announcementOf returns nil for what announces nothing: sessions, and addresses that the node stands by for.
func announcementOf(h desired.Held, answering map[string]*ingotv1.Layer2Report) *ingotv1.Announcement {
	ann := &ingotv1.Announcement{Status: h.Status, Reason: h.Reason}
	switch content := h.Item.GetContent().(type) {
	case *ingotv1.Item_BgpRoute:
		route := content.BgpRoute
		ann.Protocol, ann.Target, ann.Services = "bgp", route.GetPrefix(), route.GetServices()
		for _, ad := range route.GetAdvertisements() {
			ann.Peers = append(ann.Peers, ad.GetPeers()...)
		}
		return ann
	case *ingotv1.Item_Layer2Address:
		l2 := content.Layer2Address
		if l2.GetRole() != ingotv1.Layer2Address_ROLE_OWNER {
			return nil
		}
		ann.Protocol, ann.Target, ann.Services = "layer2", l2.GetAddress(), l2.GetServices()
		ann.Interfaces, ann.Term = l2.GetInterfaces(), l2.GetTerm()
		if r := answering[l2.GetAddress()]; r != nil {
			ann.Interfaces, ann.Term = r.GetInterfaces(), r.GetTerm()
		}
		return ann
	}
	return nil
}

// Layer2 returns the layer-2 addresses that the node owns or stands by for.
func (a *Agent) Layer2() []*ingotv1.Layer2State {
	reports := map[string]*ingotv1.Layer2Report{}
	for _, r := range a.core.observe(withoutCounters).GetLayer2() {
		reports[r.GetAddress()] = r
	}
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*ingotv1.Layer2State
	for _, h := range c.state.Held(ingotv1.Lane_LANE_LAYER2) {
		if order := h.Item.GetLayer2Address(); order != nil {
			out = append(out, &ingotv1.Layer2State{Order: order, Status: h.Status, Report: reports[order.GetAddress()]})
		}
	}
	return out
}

// Neighbors returns the hosts heard asking for this node's addresses.
func (a *Agent) Neighbors() []*ingotv1.Neighbor {
	var out []*ingotv1.Neighbor
	for _, lane := range desired.Lanes {
		if lister, ok := a.opts.Announcers[lane].(neighborLister); ok {
			out = append(out, lister.Neighbors()...)
		}
	}
	return out
}

// Health says which parts work, by the names that health checks ask for. Being without the centre is no fault of
// the speaker: it shows in "dispatch" and nowhere else.
func (a *Agent) Health() map[string]bool {
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	obeyed := false
	for s := range c.streams {
		obeyed = obeyed || s.replica.Leading() && s.replica.Obeyed()
	}
	return map[string]bool{
		"":         true,
		"bgp":      c.runs[ingotv1.Lane_LANE_ROUTING],
		"l2":       c.runs[ingotv1.Lane_LANE_LAYER2],
		"dispatch": obeyed,
	}
}

// Ready says whether the node announces what it was last asked to: after a start, once state was restored or the
// centre was obeyed.
func (a *Agent) Ready() bool {
	c := a.core
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Standing().Lineage != ""
}
