package agent

import (
	"net/netip"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// announcement is one Service's address on one protocol: what users ask about.
type announcement struct {
	// service is NAMESPACE/NAME.
	service string
	// protocol is bgp or layer2.
	protocol string
	ip       string
}

// announcementsOf returns what an item announces: nothing unless it is applied, and for layer 2 nothing unless the
// node owns the address.
func announcementsOf(h desired.Held) []announcement {
	item := h.Item
	if h.Status != ingotv1.ItemResult_STATUS_APPLIED {
		if item = h.Good; item == nil {
			return nil
		}
	}
	var protocol, ip string
	var services []*ingotv1.ServiceRef
	switch content := item.GetContent().(type) {
	case *ingotv1.Item_BgpRoute:
		protocol, services = "bgp", content.BgpRoute.GetServices()
		if prefix, err := netip.ParsePrefix(content.BgpRoute.GetPrefix()); err == nil {
			ip = prefix.Addr().String()
		}
	case *ingotv1.Item_Layer2Address:
		if content.Layer2Address.GetRole() != ingotv1.Layer2Address_ROLE_OWNER {
			return nil
		}
		protocol, ip, services = "layer2", content.Layer2Address.GetAddress(), content.Layer2Address.GetServices()
	}
	out := make([]announcement, 0, len(services))
	for _, s := range services {
		a := announcement{service: s.GetNamespace() + "/" + s.GetName(), protocol: protocol, ip: ip}
		if s.GetAddress() != "" {
			a.ip = s.GetAddress()
		}
		out = append(out, a)
	}
	return out
}

// announcedSet counts the items behind each announcement: a Service's address may be part of several routes.
type announcedSet struct {
	counts map[announcement]int
	items  map[itemKey][]announcement
}

type itemKey struct {
	lane ingotv1.Lane
	id   string
}

func newAnnouncedSet() *announcedSet {
	return &announcedSet{counts: map[announcement]int{}, items: map[itemKey][]announcement{}}
}

// change begins a change of several items, which is judged as a whole: what moves from one item to another neither
// begins nor ends.
func (s *announcedSet) change() *announcedChange {
	return &announcedChange{to: s, before: map[announcement]int{}}
}

type announcedChange struct {
	to     *announcedSet
	before map[announcement]int
	order  []announcement
}

// set says what the item announces from now on.
func (c *announcedChange) set(lane ingotv1.Lane, id string, now []announcement) {
	key := itemKey{lane, id}
	for _, a := range c.to.items[key] {
		c.add(a, -1)
	}
	for _, a := range now {
		c.add(a, 1)
	}
	if len(now) == 0 {
		delete(c.to.items, key)
		return
	}
	c.to.items[key] = now
}

func (c *announcedChange) add(a announcement, n int) {
	if _, seen := c.before[a]; !seen {
		c.before[a] = c.to.counts[a]
		c.order = append(c.order, a)
	}
	c.to.counts[a] += n
	if c.to.counts[a] == 0 {
		delete(c.to.counts, a)
	}
}

// commit returns what began and what ended.
func (c *announcedChange) commit() (began, ended []announcement) {
	for _, a := range c.order {
		switch was, is := c.before[a] > 0, c.to.counts[a] > 0; {
		case is && !was:
			began = append(began, a)
		case was && !is:
			ended = append(ended, a)
		}
	}
	return began, ended
}
