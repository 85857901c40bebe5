package feed

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
)

// serviceBGPStatuses is the kind ServiceBGPStatus.
var serviceBGPStatuses = live.Kind{
	Plural: "servicebgpstatuses", Singular: "servicebgpstatus",
	New:     func() runtime.Object { return &metallb.ServiceBGPStatus{} },
	NewList: func() runtime.Object { return &metallb.ServiceBGPStatusList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "Node", Type: "string", Description: "The node that announces the Service."},
		{Name: "Service Name", Type: "string", Description: "The name of the Service."},
		{Name: "Service Namespace", Type: "string", Description: "The namespace of the Service."},
		{Name: "State", Type: "string", Priority: 1, Description: "Announced, or Unknown while the node is not connected."},
		{Name: "Peers", Type: "string", Priority: 1, Description: "The BGPPeers that it is announced to."},
		{Name: "Age", Type: "date", Priority: 1, Description: "Since when."},
	},
	Cells: func(o runtime.Object) []any {
		s := &o.(*metallb.ServiceBGPStatus).Status
		return []any{columns.Text(s.Node), columns.Text(s.ServiceName), columns.Text(s.ServiceNamespace), columns.Text(s.State),
			columns.Text(strings.Join(s.Peers, ",")), columns.Since(o.(*metallb.ServiceBGPStatus).CreationTimestamp)}
	},
}

const announcedState = "Announced"

// services keeps the ServiceBGPStatuses. Of a node there may be thousands: what has not changed is not made again.
type services struct {
	set   *live.Set
	nodes map[string]*nodeServices
}

// nodeServices are what one node announces.
type nodeServices struct {
	current bool // as last served
	peers   map[types.NamespacedName][]string
}

func newServices(set *live.Set) *services {
	return &services{set: set, nodes: map[string]*nodeServices{}}
}

// update takes what changed of what the node of v announces; all says that it is everything.
func (s *services) update(v view, changed []dispatch.Announcement, all bool, now time.Time) {
	n := s.nodes[v.node]
	if n == nil {
		n = &nodeServices{current: v.current()}
		s.nodes[v.node] = n
	}
	touched := map[types.NamespacedName]bool{}
	if all {
		for name := range n.peers {
			touched[name] = true
		}
		n.peers = nil
	}
	if n.peers == nil {
		n.peers = map[types.NamespacedName][]string{}
	}
	for _, a := range changed {
		touched[a.Service] = true
		if len(a.Peers) == 0 {
			delete(n.peers, a.Service)
		} else {
			n.peers[a.Service] = a.Peers
		}
	}
	if n.current != v.current() {
		n.current = v.current()
		for name := range n.peers {
			touched[name] = true
		}
	}
	var put []live.Object
	var gone []string
	for service := range touched {
		if peers, is := n.peers[service]; is {
			put = append(put, s.status(v, service, peers, now))
		} else {
			gone = append(gone, serviceBGPName(v.node, service))
		}
	}
	if len(touched) > 0 {
		s.set.Update(put, gone...)
	}
}

func (s *services) status(v view, service types.NamespacedName, peers []string, now time.Time) live.Object {
	o := &metallb.ServiceBGPStatus{Status: metallb.ServiceBGPStatusStatus{
		Node: v.node, ServiceName: service.Name, ServiceNamespace: service.Namespace, Peers: slices.Clone(peers), State: announcedState}}
	o.Name = serviceBGPName(v.node, service)
	o.Labels = map[string]string{}
	labelValue(o.Labels, labelNodeOf, v.node)
	labelValue(o.Labels, labelServiceName, service.Name)
	labelValue(o.Labels, labelServiceNamespace, service.Namespace)
	since := now
	if !v.current() {
		o.Status.State, since = unknownStatus, v.awaySince()
	}
	o.CreationTimestamp = metav1.NewTime(since.Truncate(time.Second))
	if before, ok := s.set.Object(o.Name); ok && before.(*metallb.ServiceBGPStatus).Status.State == o.Status.State {
		o.CreationTimestamp = before.GetCreationTimestamp()
	}
	return o
}

// forget takes out what a node announced that is no more.
func (s *services) forget(node string) {
	n := s.nodes[node]
	if n == nil {
		return
	}
	var gone []string
	for service := range n.peers {
		gone = append(gone, serviceBGPName(node, service))
	}
	s.set.Update(nil, gone...)
	delete(s.nodes, node)
}

func serviceBGPName(node string, service types.NamespacedName) string {
	return nameOf("bgp", service.Namespace, service.Name, node)
}
