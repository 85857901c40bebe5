// Package feed keeps the sets of live objects up with what this replica hears: of the speakers, by their streams, and of
// the controller, by its Lease.
package feed

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/columns"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// pause is the least time between two looks at what has changed: what changes at once is one change.
	pause = 20 * time.Millisecond
	// look is how often time itself is taken to have changed something.
	look = 500 * time.Millisecond
)

// Hub is what the feed uses of dispatch.Hub.
type Hub interface {
	Follow() *dispatch.Follower
	Unfollow(*dispatch.Follower)
	Nodes() []dispatch.NodeState
	Node(name string) (dispatch.NodeState, bool)
	HostNodeNames() []string
	HasHostNode(name string) bool
	Lineage() string
	PlannedSessions(node string) []*ingotv1.BgpSession
	TakeAnnounced(node string) (changed []dispatch.Announcement, all bool)
	Replica() string
	Layer2Items(node string) map[string]*ingotv1.Item
	Layer2Decision(a netip.Addr) (dispatch.Layer2Decision, bool)
	WhyNot(a netip.Addr, most int) map[string]string
	Layer2Plan() uint64
	Faults(node string) []segment.Fault
}

var _ Hub = (*dispatch.Hub)(nil)

// Feed keeps the sets.
type Feed struct {
	hub      Hub
	now      func() time.Time
	started  time.Time
	follower *dispatch.Follower
	leases   *leases
	leased   chan struct{}
	states   *live.Set
	// perNode are the kinds of which each node has a few objects.
	perNode  []*perNode
	services *services
	layer2   *layer2Services
	// waiting are the nodes whose state changes with time alone.
	waiting map[string]struct{}
}

// configurationStates is the kind ConfigurationState.
var configurationStates = live.Kind{
	Plural: "configurationstates", Singular: "configurationstate",
	New:     func() runtime.Object { return &metallb.ConfigurationState{} },
	NewList: func() runtime.Object { return &metallb.ConfigurationStateList{} },
	Columns: []metav1.TableColumnDefinition{
		{Name: "Result", Type: "string", Description: "Whether the component has taken the configuration."},
		{Name: "ErrorSummary", Type: "string", Description: "Why not."},
		columns.Age(),
	},
	Cells: func(o runtime.Object) []any {
		s := o.(*metallb.ConfigurationState)
		return []any{columns.Text(string(s.Status.Result)), columns.Text(s.Status.ErrorSummary), columns.Since(s.CreationTimestamp)}
	},
}

// New returns a feed of empty sets, in the system namespace.
func New(hub Hub, client kubernetes.Interface, namespace string) (*Feed, error) {
	clock := live.NewClock(time.Now)
	speakers := live.NewSet(speakerStates, namespace, clock)
	f := &Feed{
		hub: hub, now: time.Now, started: time.Now(), leased: make(chan struct{}, 1),
		states: live.NewSet(configurationStates, namespace, clock), waiting: map[string]struct{}{},
		perNode: []*perNode{
			newPerNode(live.NewSet(bgpSessionStates, namespace, clock), bgpSessions),
			newPerNode(live.NewSet(bfdSessionStates, namespace, clock), bfdSessions),
			newPerNode(speakers, func(v view) []live.Object { return speakerStatesOf(v, speakers) }),
		},
		services: newServices(live.NewSet(serviceBGPStatuses, namespace, clock)),
		layer2:   newLayer2Services(live.NewSet(serviceL2Statuses, namespace, clock), hub),
	}
	var err error
	if f.leases, err = newLeases(client, namespace, f.now, f.wake); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	return f, nil
}

// Sets are those that the feed keeps. They are empty until Fill.
func (f *Feed) Sets() []*live.Set {
	sets := []*live.Set{f.states, f.services.set, f.layer2.set}
	for _, k := range f.perNode {
		sets = append(sets, k.set)
	}
	return sets
}

func (f *Feed) wake() {
	select {
	case f.leased <- struct{}{}:
	default:
	}
}

// Fill puts into the sets what is known now. It is called once, before Run, when the Nodes of the cluster have been read:
// until then nobody should be served, who would take what is missing for gone.
func (f *Feed) Fill() {
	f.follower = f.hub.Follow()
	names := f.hub.HostNodeNames()
	for _, s := range f.hub.Nodes() {
		names = append(names, s.Node)
	}
	f.speakers(names)
	f.controller()
}

// Run keeps the sets until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	defer f.hub.Unfollow(f.follower)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.leases.run(ctx)
	}()
	defer func() { <-ended }()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.leased:
			f.controller()
		case <-tick.C:
			f.controller()
			f.speakers(f.overdue())
			f.layer2.refresh(f.now())
		case <-f.follower.Changed():
			if backoff.Sleep(ctx, pause) != nil {
				return
			}
			f.speakers(f.follower.Take())
		}
	}
}

func (f *Feed) overdue() (names []string) {
	for name := range f.waiting {
		names = append(names, name)
	}
	return names
}

// speakers brings the states of these nodes' speakers up to date. A node is served while its Node exists or its speaker is
// connected.
func (f *Feed) speakers(nodes []string) {
	var put []live.Object
	var gone []string
	now := f.now()
	for _, node := range nodes {
		name := speakerPrefix + node
		s, heard := f.hub.Node(node)
		if !s.Connected && !f.hub.HasHostNode(node) {
			gone = append(gone, name)
			delete(f.waiting, node)
			for _, k := range f.perNode {
				k.forget(node)
			}
			f.services.forget(node)
			f.layer2.forget(node)
			continue
		}
		f.observe(view{node: node, heard: heard, state: s, started: f.started, replica: f.hub.Replica(), faults: faultsOf(f.hub.Faults(node))}, now)
		if s.Unacked.IsZero() {
			delete(f.waiting, node)
		} else {
			f.waiting[node] = struct{}{}
		}
		v := judgeSpeaker(s, heard, f.hub.Lineage(), f.started, now)
		labels := map[string]string{labelComponent: strings.TrimSuffix(speakerPrefix, "-"), labelNode: node}
		put = append(put, stateOf(name, labels, speakerCondition, v, f.before(name), now))
	}
	f.states.Update(put, gone...)
}

// observe brings all that is about one node up to date, but for its configuration.
func (f *Feed) observe(v view, now time.Time) {
	if !v.current() || len(v.state.Rejected) > 0 {
		v.planned = f.hub.PlannedSessions(v.node)
	}
	if v.current() { // it says itself which sessions it keeps
		v.planned = slices.DeleteFunc(v.planned, func(p *ingotv1.BgpSession) bool {
			_, rejected := v.state.Rejected[plan.SessionID(p.GetPeer())]
			return !rejected
		})
	}
	for _, k := range f.perNode {
		k.update(v)
	}
	changed, all := f.hub.TakeAnnounced(v.node)
	f.services.update(v, changed, all, now)
	f.layer2.update(v, f.hub.Layer2Items(v.node))
}

func (f *Feed) controller() {
	now := f.now()
	labels := map[string]string{labelComponent: controllerName}
	f.states.Update([]live.Object{stateOf(controllerName, labels, controllerCondition, f.leases.judge(now), f.before(controllerName), now)})
}

// before is the state of that name as it is served.
func (f *Feed) before(name string) *metallb.ConfigurationState {
	o, ok := f.states.Object(name)
	if !ok {
		return nil
	}
	return o.(*metallb.ConfigurationState)
}
