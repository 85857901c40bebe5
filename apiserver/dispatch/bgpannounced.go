package dispatch

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Announcement is a Service that a node announces by BGP, and to whom.
type Announcement struct {
	Service types.NamespacedName
	// Peers are the BGPPeers, sorted: those whose sessions are established, and for which the speaker has acknowledged
	// the route. There are none when it is not announced any more.
	Peers []string
}

// bgpAnnounced is what one node announces by BGP: the routes that its speaker acknowledged, by what of them is in force,
// and the sessions that are up. nodes.mu guards it.
type bgpAnnounced struct {
	routes map[string]*ackedRoute
	// unresolved are the routes of which the content is not known here yet: another replica sent them, and this one has
	// not planned them.
	unresolved map[string]bool
	// of are the routes that announce a Service.
	of map[types.NamespacedName]map[string]bool
	// up are the peers whose sessions are established, with the families that they carry.
	up map[string]carried
	// dirty are the Services of which something changed since TakeAnnounced; all says that everything did.
	dirty map[types.NamespacedName]bool
	all   bool
}

type ackedRoute struct {
	digest string
	// content is what the neighbours see; nil while unresolved.
	content *ingotv1.BgpRoute
	// lacking are the peers that do not get it.
	lacking map[string]bool
}

type carried struct{ ipv4, ipv6 bool }

// find returns the item that is planned for a node under an id; nil when there is none.
type find func(id string) *ingotv1.Item

// restart takes what a speaker says it holds, as it connects.
func (b *bgpAnnounced) restart(held []*ingotv1.HeldItem, planned find) {
	before := b.routes
	*b = bgpAnnounced{routes: map[string]*ackedRoute{}, unresolved: map[string]bool{}, of: map[types.NamespacedName]map[string]bool{},
		up: b.up, dirty: map[types.NamespacedName]bool{}, all: true}
	for _, h := range held {
		if !plan.IsRoute(h.GetId()) || h.GetStatus() == ingotv1.ItemResult_STATUS_REJECTED {
			continue
		}
		var content *ingotv1.BgpRoute
		if old := before[h.GetId()]; old != nil && old.digest == h.GetDigest() {
			content = old.content
		}
		b.set(h.GetId(), &ackedRoute{digest: h.GetDigest(), content: content}, planned)
	}
}

// settle takes what became of an item.
func (b *bgpAnnounced) settle(o outcome, planned find) {
	old := b.routes[o.id]
	switch {
	case !plan.IsRoute(o.id):
	case o.removed:
		b.drop(o.id)
	case o.status == ingotv1.ItemResult_STATUS_REJECTED:
		// What was there before stays.
	default:
		r := &ackedRoute{digest: o.digest, content: o.item.GetBgpRoute(), lacking: lacking(o.reason)}
		if r.content == nil && old != nil && old.digest == o.digest {
			r.content = old.content
		}
		b.set(o.id, r, planned)
	}
}

func (b *bgpAnnounced) set(id string, r *ackedRoute, planned find) {
	if r.content == nil {
		if item := planned(id); item.GetDigest() == r.digest {
			r.content = item.GetBgpRoute()
		}
	}
	if r.content == nil {
		// Until it is known what it says now, it counts as saying what it did.
		b.unresolved[id] = true
		if old := b.routes[id]; old != nil {
			r.content = old.content
		}
	} else {
		delete(b.unresolved, id)
	}
	b.index(id, false)
	b.routes[id] = r
	b.index(id, true)
}

func (b *bgpAnnounced) drop(id string) {
	b.index(id, false)
	delete(b.routes, id)
	delete(b.unresolved, id)
}

// index keeps of up with a route that comes or goes.
func (b *bgpAnnounced) index(id string, comes bool) {
	r := b.routes[id]
	if r == nil {
		return
	}
	for _, ref := range r.content.GetServices() {
		service := types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}
		b.dirty[service] = true
		if comes {
			if b.of[service] == nil {
				b.of[service] = map[string]bool{}
			}
			b.of[service][id] = true
			continue
		}
		if delete(b.of[service], id); len(b.of[service]) == 0 {
			delete(b.of, service)
		}
	}
}

// resolve looks in a new plan for what is not known yet. It says whether it found any.
func (b *bgpAnnounced) resolve(planned find) (found bool) {
	for id := range b.unresolved {
		r := b.routes[id]
		if item := planned(id); r != nil && item.GetDigest() == r.digest {
			b.set(id, &ackedRoute{digest: r.digest, content: item.GetBgpRoute(), lacking: r.lacking}, planned)
			found = true
		}
	}
	return found
}

// sessions takes the sessions as they were reported.
func (b *bgpAnnounced) sessions(reports map[string]*ingotv1.SessionReport) {
	up := map[string]carried{}
	for _, r := range reports {
		if r.GetState() != "Established" {
			continue
		}
		c := carried{
			ipv4: slices.Contains(r.GetFamilies(), ingotv1.Family_FAMILY_IPV4_UNICAST),
			ipv6: slices.Contains(r.GetFamilies(), ingotv1.Family_FAMILY_IPV6_UNICAST),
		}
		up[r.GetPeer()] = c
	}
	if !maps.Equal(up, b.up) {
		b.up, b.all = up, true
	}
}

// peers are those that a Service is announced to.
func (b *bgpAnnounced) peers(service types.NamespacedName) []string {
	var peers []string
	for id := range b.of[service] {
		r := b.routes[id]
		ipv6 := strings.Contains(r.content.GetPrefix(), ":")
		for _, ad := range r.content.GetAdvertisements() {
			for _, peer := range ad.GetPeers() {
				c, up := b.up[peer]
				if up && !r.lacking[peer] && (ipv6 && c.ipv6 || !ipv6 && c.ipv4) {
					peers = append(peers, peer)
				}
			}
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

func (b *bgpAnnounced) take() (changed []Announcement, all bool) {
	all, b.all = b.all, false
	if all {
		for service := range b.of {
			changed = append(changed, Announcement{service, b.peers(service)})
		}
	} else {
		for service := range b.dirty {
			changed = append(changed, Announcement{service, b.peers(service)})
		}
	}
	clear(b.dirty)
	return changed, all
}

// lacking reads which peers do not get a route, out of the reason of its result; see ItemResult.reason.
func lacking(reason string) map[string]bool {
	var peers map[string]bool
	for part := range strings.SplitSeq(reason, "; ") {
		rest, ok := strings.CutPrefix(part, "peer ")
		name, _, closed := strings.Cut(rest, ": ")
		if ok && closed {
			if peers == nil {
				peers = map[string]bool{}
			}
			peers[name] = true
		}
	}
	return peers
}

// TakeAnnounced returns which Services a node announces by BGP, and to whom: those for which that changed since it was
// asked last, or all. There is one who asks. Of a node that was never heard, it is what is planned for it.
func (h *Hub) TakeAnnounced(node string) (changed []Announcement, all bool) {
	n := h.nodes
	n.mu.Lock()
	defer n.mu.Unlock()
	if x, heard := n.byName[node]; heard {
		return x.bgp.take()
	}
	planned := bgpAnnounced{}
	planned.restart(nil, n.find(node))
	planned.up = map[string]carried{}
	for _, item := range n.items(node) {
		if session := item.GetBgpSession(); session != nil {
			planned.up[session.GetPeer()] = carried{
				ipv4: slices.Contains(session.GetFamilies(), ingotv1.Family_FAMILY_IPV4_UNICAST),
				ipv6: slices.Contains(session.GetFamilies(), ingotv1.Family_FAMILY_IPV6_UNICAST),
			}
		}
	}
	for id, item := range n.items(node) {
		if route := item.GetBgpRoute(); route != nil {
			planned.set(id, &ackedRoute{digest: item.GetDigest(), content: route}, n.find(node))
		}
	}
	return planned.take()
}

// PlannedSessions are the BGP sessions that a node shall keep, by the last plan of this replica.
func (h *Hub) PlannedSessions(node string) []*ingotv1.BgpSession {
	n := h.nodes
	n.mu.Lock()
	items := n.items(node)
	n.mu.Unlock()
	var sessions []*ingotv1.BgpSession
	for _, item := range items {
		if s := item.GetBgpSession(); s != nil {
			sessions = append(sessions, s)
		}
	}
	slices.SortFunc(sessions, func(a, b *ingotv1.BgpSession) int { return strings.Compare(a.GetPeer(), b.GetPeer()) })
	return sessions
}

// planned takes a plan. What is said of nodes that are away may follow from it.
func (n *nodes) planned(plans map[string]*plan.NodePlan) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keepPace(plans, n.now())
	n.plans = plans
	for name, x := range n.byName {
		if x.bgp.resolve(n.find(name)) || x.stream == nil {
			n.touch(name)
		}
	}
	for name := range plans {
		if n.byName[name] == nil {
			n.touch(name)
		}
	}
}

// items are what is planned for a node's routing; the caller holds mu.
func (n *nodes) items(node string) map[string]*ingotv1.Item {
	if p := n.plans[node]; p != nil {
		return p.Items[routingLane]
	}
	return nil
}

// find looks for items that are planned for a node; the caller holds mu.
func (n *nodes) find(node string) find {
	items := n.items(node)
	return func(id string) *ingotv1.Item { return items[id] }
}
