package feed

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// layer2Services keeps the ServiceL2Statuses. Of a node there may be thousands: what has not changed is not made again.
type layer2Services struct {
	set   *live.Set
	plans plans
	nodes map[string]*nodeClaims
	// claimed are the nodes that have to do with an address, addressed the addresses of a Service that any of them does.
	claimed   map[string]map[string]bool
	addressed map[types.NamespacedName]map[string]bool
	// served are the nodes that a status of a Service is served of.
	served map[types.NamespacedName]map[string]bool
	// plan is the one that all were made from last, next when they may be made again.
	plan uint64
	next time.Time
	// pace bounds how often they change by that.
	pace *rate.Limiter
}

// plans is what was decided about layer-2 addresses; part of Hub.
type plans interface {
	Layer2Decision(a netip.Addr) (dispatch.Layer2Decision, bool)
	WhyNot(a netip.Addr, most int) map[string]string
	Layer2Plan() uint64
}

const (
	// refreshEvery is the least time between two looks at the reasons for which nodes do not own an address, when nothing else
	// changes. A node may be among those of every Service: refreshBurst changes of them are shown at once, then one every
	// refreshPause, and of many statuses refreshRate a second, however quickly a node's faults come and go.
	refreshEvery = 2 * time.Second
	refreshBurst = 3
	refreshPause = 10 * time.Second
	refreshRate  = 100
	// refreshShare bounds the part of the time that goes into making them: one in so many.
	refreshShare = 20
)

// nodeClaims are the layer-2 addresses of one node.
type nodeClaims struct {
	view   view // without its reports
	claims map[string]claim
}

// claim is what one node does about one address.
type claim struct {
	report *ingotv1.Layer2Report
	// order is what it was last told, nil where that is not known.
	order    *ingotv1.Layer2Address
	decision dispatch.Layer2Decision
}

func newLayer2Services(set *live.Set, plans plans) *layer2Services {
	return &layer2Services{set: set, plans: plans, pace: rate.NewLimiter(rate.Every(refreshPause), refreshBurst), nodes: map[string]*nodeClaims{},
		claimed: map[string]map[string]bool{}, addressed: map[types.NamespacedName]map[string]bool{}, served: map[types.NamespacedName]map[string]bool{}}
}

// update takes what a node does, and items, what it shall do.
func (s *layer2Services) update(v view, items map[string]*ingotv1.Item) {
	reports := v.state.Layer2
	v.state.Layer2, v.state.Sessions, v.state.BFD, v.state.Links, v.state.Segments = nil, nil, nil, nil, nil
	n := s.nodes[v.node]
	if n == nil {
		n = &nodeClaims{claims: map[string]claim{}}
		s.nodes[v.node] = n
	}
	everything := n.view.current() != v.current() || n.view.awaySince() != v.awaySince()
	n.view = v
	touched := map[types.NamespacedName]bool{}
	now := make(map[string]claim, len(reports))
	for _, r := range reports {
		address := r.GetAddress()
		before, was := n.claims[address]
		c := claim{report: r}
		if a, err := netip.ParseAddr(address); err == nil {
			c.order = items[plan.Layer2ID(a)].GetLayer2Address()
			c.decision, _ = s.plans.Layer2Decision(a)
		}
		if c.order == nil && (!v.current() || r.GetAnswering()) {
			c.order = s.lastOrder(address, before) // the node cannot be told anything, or has not obeyed yet
		}
		now[address] = c
		if !was || everything || !c.same(before) {
			s.touch(touched, v.node, address, before, c)
		}
	}
	for address, before := range n.claims {
		if _, is := now[address]; !is {
			s.touch(touched, v.node, address, before, claim{})
		}
	}
	n.claims = now
	s.serve(touched)
}

// lastOrder is what a node that has no order now is taken to have: what it was told last, or else what another one is told
// about the address.
func (s *layer2Services) lastOrder(address string, before claim) *ingotv1.Layer2Address {
	if before.order != nil {
		return before.order
	}
	for node := range s.claimed[address] {
		if order := s.nodes[node].claims[address].order; order != nil {
			return order
		}
	}
	return nil
}

// touch notes the Services of an address of which a node's claim changes, and remembers who has to do with whom.
func (s *layer2Services) touch(touched map[types.NamespacedName]bool, node, address string, before, now claim) {
	if now.report == nil {
		delete(s.claimed[address], node)
		if len(s.claimed[address]) == 0 {
			delete(s.claimed, address)
		}
	} else {
		if s.claimed[address] == nil {
			s.claimed[address] = map[string]bool{}
		}
		s.claimed[address][node] = true
	}
	for _, order := range []*ingotv1.Layer2Address{before.order, now.order} {
		for _, service := range servicesOf(order) {
			touched[service] = true
			if s.addressed[service] == nil {
				s.addressed[service] = map[string]bool{}
			}
			s.addressed[service][address] = true
		}
	}
	for other := range s.claimed[address] { // which may be overtaken now, or not any more
		if x := s.nodes[other]; other != node && x != nil {
			for _, service := range servicesOf(x.claims[address].order) {
				touched[service] = true
			}
		}
	}
}

// serve makes the statuses of Services anew, and returns how many have changed.
func (s *layer2Services) serve(touched map[types.NamespacedName]bool) (changes int) {
	var put []live.Object
	var gone []string
	for service := range touched {
		served := map[string]bool{}
		for address := range s.addressed[service] {
			still := false
			for node := range s.claimed[address] {
				if !slices.Contains(servicesOf(s.nodes[node].claims[address].order), service) {
					continue
				}
				still = true
				if served[node] {
					continue
				}
				if o := s.status(service, s.nodes[node], s.addressed[service]); o != nil {
					served[node] = true
					put = append(put, o)
				}
			}
			if !still {
				delete(s.addressed[service], address)
			}
		}
		for node := range s.served[service] {
			if !served[node] {
				gone = append(gone, serviceL2Name(node, service))
			}
		}
		s.served[service] = served
		if len(served) == 0 {
			delete(s.served, service)
		}
		if len(s.addressed[service]) == 0 {
			delete(s.addressed, service)
		}
	}
	if len(put)+len(gone) == 0 {
		return 0
	}
	return s.set.Update(put, gone...)
}

// forget takes out what a node announced that is no more.
func (s *layer2Services) forget(node string) {
	n := s.nodes[node]
	if n == nil {
		return
	}
	touched := map[types.NamespacedName]bool{}
	for address, c := range n.claims {
		s.touch(touched, node, address, c, claim{})
	}
	n.claims = map[string]claim{}
	s.serve(touched)
	delete(s.nodes, node)
}

// same says whether two claims are served alike.
func (c claim) same(o claim) bool {
	return c.report == o.report && c.order == o.order && c.decision.Term == o.decision.Term && c.decision.Reason == o.decision.Reason &&
		slices.Equal(c.decision.Standbys, o.decision.Standbys)
}

// refresh makes all statuses anew if there is another plan, for the sake of what it says of those who do not own an address.
func (s *layer2Services) refresh(now time.Time) {
	plan := s.plans.Layer2Plan()
	if plan == s.plan || now.Before(s.next) || s.pace.TokensAt(now) < 1 {
		return
	}
	began := time.Now()
	all := make(map[types.NamespacedName]bool, len(s.served))
	for service := range s.served {
		all[service] = true
	}
	changes := s.serve(all)
	if changes > 0 {
		s.pace.AllowN(now, 1)
	}
	s.plan, s.next = plan, now.Add(max(refreshEvery, refreshShare*time.Since(began), time.Duration(changes)*time.Second/refreshRate))
}

// servicesOf are the Services that an address is announced for.
func servicesOf(order *ingotv1.Layer2Address) []types.NamespacedName {
	services := make([]types.NamespacedName, 0, len(order.GetServices()))
	for _, ref := range order.GetServices() {
		services = append(services, types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()})
	}
	return services
}
