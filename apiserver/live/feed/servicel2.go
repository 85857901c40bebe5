package feed

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/live"
)

// serviceL2Statuses is the kind ServiceL2Status.
var serviceL2Statuses = live.Kind{
	Plural: "servicel2statuses", Singular: "servicel2status",
	New:     func() runtime.Object { return &metallb.ServiceL2Status{} },
	NewList: func() runtime.Object { return &metallb.ServiceL2StatusList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "Allocated Node", Type: "string", Description: "The node that answers for the Service."},
		{Name: "Service Name", Type: "string", Description: "The name of the Service."},
		{Name: "Service Namespace", Type: "string", Description: "The namespace of the Service."},
		{Name: "Since", Type: "date", Description: "Since when."},
		{Name: "State", Type: "string", Priority: 1, Description: "Announced, or Unknown while the node is not connected."},
		{Name: "Addresses", Type: "string", Priority: 1, Description: "The addresses that it answers for, and where."},
		{Name: "Standbys", Type: "string", Priority: 1, Description: "The nodes that would take over."},
	},
	Cells: func(o runtime.Object) []any {
		s := o.(*metallb.ServiceL2Status)
		var answered, standbys []string
		for _, a := range s.Status.Addresses {
			answered = append(answered, a.Address+" on "+strings.Join(a.Interfaces, "+"))
			for _, node := range a.Standbys {
				if !slices.Contains(standbys, node) {
					standbys = append(standbys, node)
				}
			}
		}
		return []any{columns.Text(s.Status.Node), columns.Text(s.Status.ServiceName), columns.Text(s.Status.ServiceNamespace),
			columns.Since(s.CreationTimestamp), columns.Text(s.Status.State),
			columns.Text(strings.Join(answered, ", ")), columns.Text(strings.Join(standbys, ","))}
	},
}

// mostOthers bounds the nodes of which it is said why they do not own an address.
const mostOthers = 32

// status is how a node announces a Service; nil if it does not.
func (s *layer2Services) status(service types.NamespacedName, n *nodeClaims, addresses map[string]bool) live.Object {
	o := &metallb.ServiceL2Status{Status: metallb.ServiceL2StatusStatus{
		Node: n.view.node, ServiceName: service.Name, ServiceNamespace: service.Namespace, State: announcedState}}
	limits, everywhere := map[string]bool{}, false
	for _, address := range slices.Sorted(maps.Keys(addresses)) {
		c, ok := n.claims[address]
		if !ok || !c.report.GetAnswering() || !slices.Contains(servicesOf(c.order), service) || s.overtaken(n, address, c) {
			continue
		}
		entry := s.entry(c)
		o.Status.Addresses = append(o.Status.Addresses, entry)
		if entry.Since != nil && (o.Status.Since == nil || entry.Since.Before(o.Status.Since)) {
			o.Status.Since = entry.Since
		}
		everywhere = everywhere || len(c.order.GetInterfaces()) == 0
		for _, name := range c.order.GetInterfaces() {
			limits[name] = true
		}
	}
	if len(o.Status.Addresses) == 0 {
		return nil
	}
	if !everywhere {
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			o.Status.Interfaces = append(o.Status.Interfaces, metallb.L2Interface{Name: name})
		}
	}
	away := metav1.NewTime(n.view.awaySince().Truncate(time.Second))
	if !n.view.current() {
		o.Status.State, o.Status.Since = unknownStatus, &away
	}
	o.CreationTimestamp = away
	if o.Status.Since != nil {
		o.CreationTimestamp = *o.Status.Since
	}
	o.Name = serviceL2Name(n.view.node, service)
	o.Labels = map[string]string{}
	labelValue(o.Labels, labelNodeOf, n.view.node)
	labelValue(o.Labels, labelServiceName, service.Name)
	labelValue(o.Labels, labelServiceNamespace, service.Namespace)
	return o
}

// overtaken says that a node which is away has lost an address since: one that is here answers for it with a later term,
// to which it yields should it still answer.
func (s *layer2Services) overtaken(n *nodeClaims, address string, c claim) bool {
	if n.view.current() {
		return false
	}
	for other := range s.claimed[address] {
		x := s.nodes[other]
		if r := x.claims[address].report; x != n && x.view.current() && r.GetAnswering() && r.GetTerm() > c.report.GetTerm() {
			return true
		}
	}
	return false
}

// entry is a claim as it is served.
func (s *layer2Services) entry(c claim) metallb.L2Address {
	r := c.report
	a := metallb.L2Address{Address: r.GetAddress(), Interfaces: textsOf(r.GetInterfaces()), Term: int64(r.GetTerm()), Since: timeOf(r.GetSinceMs()),
		Phase: cut(r.GetPhase()), Standbys: slices.Clone(c.order.GetStandbys()), Taken: r.GetTaken()}
	if rival := r.GetRival(); rival != nil {
		a.Conflict = &metallb.L2Conflict{MAC: cut(rival.GetMac()), Interface: cut(rival.GetInterface()), Node: cut(rival.GetNode()), Since: timeOf(rival.GetSinceMs())}
	}
	if r.GetTerm() != c.decision.Term {
		return a // taken over, or about to be: what was decided is about another
	}
	a.Reason = c.decision.Reason
	if len(c.decision.Standbys) > 0 {
		a.Standbys = slices.Clone(c.decision.Standbys)
	}
	if address, err := netip.ParseAddr(r.GetAddress()); err == nil {
		why := s.plans.WhyNot(address, mostOthers)
		for _, node := range slices.Sorted(maps.Keys(why)) {
			a.Others = append(a.Others, metallb.L2Other{Node: node, Reason: cut(why[node])})
		}
	}
	return a
}

func serviceL2Name(node string, service types.NamespacedName) string {
	return nameOf("l2", service.Namespace, service.Name, node)
}
