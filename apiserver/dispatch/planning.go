package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch/cluster"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// inputs is what one planning reads.
type inputs struct {
	lead     *leadership
	config   *metallb.Configuration
	revision int64
	adoption Adoption
	cluster  cluster.State
	ledger   *plan.Ledger
	class    string // of the Services
	segments *segment.Verdicts
	nodes    []string
	heard    uint64
}

// step plans once, if the gate is open, and says when to plan again though nothing changes.
func (e *engine) step(ctx context.Context) (next time.Time) {
	in, err := e.gather(ctx)
	if err != nil {
		e.shut(ctx, err)
		if in == nil {
			return time.Time{} // what is missing will kick
		}
		return time.Now().Add(e.retry.Next())
	}
	verdicts, again := e.judge()
	defer func() {
		for _, at := range []time.Time{e.book.until(), again} {
			if next.IsZero() || !at.IsZero() && at.Before(next) {
				next = at
			}
		}
	}()
	in.segments = verdicts
	if in.lead == nil {
		e.shut(ctx, errNotLeading)
		e.hub.planned(nil)
		e.hub.conflicts.Tell(nil)
		e.follow(in)
		return time.Time{}
	}
	serving := e.gate.open(in.lead, time.Now())
	layer2, settled := e.gate.layer2(time.Now(), e.hub.nodes.connected(in.nodes))
	in.heard = e.hub.nodes.heard()
	facts, next := e.hub.nodes.facts(in.nodes, serving, e.hub.desired.Load())
	if !layer2 && (next.IsZero() || settled.Before(next)) {
		next = settled
	}
	stored := in.config
	var until time.Time
	in.config, in.revision, until = e.inForce.choose(in.config, in.revision, time.Now(), func(before, after *metallb.Configuration) bool {
		return plan.Stranded(before, after, in.cluster.Services, in.class)
	})
	if next.IsZero() || !until.IsZero() && until.Before(next) {
		next = until
	}
	out := e.plan(in, facts)
	out.Stamp(time.Now())
	e.hub.nodes.planned(out.Nodes) // before anybody is told to look
	e.see(&out, in)
	e.hub.planned(&Planned{Epoch: in.lead.epoch, Config: stored, Nodes: in.cluster.Nodes, Secrets: in.cluster.Secrets,
		Withheld: out.Withheld, Layer2: out.Layer2, WhyNot: out.WhyNot, Refused: e.hub.nodes.refusedSessions()})
	e.hub.conflicts.Tell(e.hub.view.Load().conflicts())
	if layer2 {
		if err := e.save(ctx, in.lead, &out); err != nil {
			if errors.Is(err, ErrNotLeader) {
				e.hub.log.Warn("another replica leads", "event", "leaderFenced", "epoch", in.lead.epoch, "error", err)
				in.lead.resign()
				return time.Time{}
			}
			e.shut(ctx, err)
			layer2 = false // what was ordered stays; the rest goes on
			next = time.Now().Add(e.retry.Next())
		} else {
			e.retry.Reset()
			e.opened(in)
		}
	}
	e.publish(in, &out, layer2)
	return next
}

// see publishes what a plan says of layer 2, and logs the faults that are news, if this replica leads.
func (e *engine) see(out *plan.Output, in *inputs) {
	v := &layer2View{out: out, verdicts: in.segments}
	e.hub.see(v)
	e.faults.tell(e.hub.log, v.allFaults(), in.lead != nil)
}

func (e *engine) plan(in *inputs, facts map[string]plan.NodeFacts) plan.Output {
	began := time.Now()
	out := plan.Plan(plan.Input{
		Config:             in.config,
		Services:           in.cluster.Services,
		EndpointSlices:     in.cluster.EndpointSlices,
		Nodes:              in.cluster.Nodes,
		Secrets:            in.cluster.Secrets,
		Facts:              facts,
		Segments:           in.segments,
		Decisions:          e.decisions,
		Ledger:             in.ledger,
		LoadBalancerClass:  in.class,
		IgnoreExcludeLabel: e.ignoreLabel,
		Superseding:        len(in.adoption.Supersedes) > 0,
		Key:                e.key,
	})
	e.hub.metrics.planned.Observe(time.Since(began).Seconds())
	return out
}

var errNotLeading = errors.New("this replica does not lead")

// follow plans what the leader plans, and only keeps the reasons for which items leave: should this replica lead next,
// it can explain deletions to speakers that were away while the leader saw them.
func (e *engine) follow(in *inputs) {
	facts, _ := e.hub.nodes.facts(in.nodes, time.Now(), nil) // absences are the leader's to judge
	out := e.plan(in, facts)
	e.hub.nodes.planned(out.Nodes)
	e.see(&out, in)
	e.explain(&out, in.class, routingLane)
	e.explain(&out, in.class, layer2Lane)
	e.removed.forget(out.Nodes)
	e.said = &out // by the leader: should this replica be next, it is no news
}

// gather reads the inputs. An error says what is missing; without inputs, that its arrival will kick.
func (e *engine) gather(ctx context.Context) (*inputs, error) {
	in := &inputs{lead: e.hub.lead.Load()}
	e.mu.Lock()
	in.config, in.revision = e.config, e.revision
	adoption := e.adoption
	e.mu.Unlock()
	if in.config == nil || adoption == nil {
		return nil, errors.New("the configuration has not been read yet")
	}
	in.adoption = *adoption
	if _, read := e.hub.store.Ledger(); !read {
		return nil, errors.New("the ledger of addresses has not been read yet")
	}
	if err := e.hub.permitted(); err != nil {
		return nil, err
	}
	if missing := e.hub.cluster.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("not read yet from the kube-apiserver: %v", missing)
	}
	var epoch uint64 // 0 while another replica leads, and may decide at any time
	if in.lead != nil {
		epoch = in.lead.epoch
	}
	if epoch == 0 || e.loaded != epoch {
		limited, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		decisions, err := e.hub.store.LoadDecisions(limited)
		if err != nil {
			return in, fmt.Errorf("load decisions: %w", err)
		}
		e.decisions, e.loaded = decisions, epoch
	}
	var err error
	if in.cluster, err = e.hub.cluster.State(); err != nil {
		return in, err
	}
	for _, node := range in.cluster.Nodes {
		in.nodes = append(in.nodes, node.Name)
	}
	in.class = e.class.of(in.config)
	in.ledger = e.book.read(ctx, epoch, in.cluster.Services, in.class)
	return in, nil
}

// shut says why nothing, or not all, is sent; once for each reason.
func (e *engine) shut(ctx context.Context, why error) {
	if e.closed != why.Error() && ctx.Err() == nil {
		e.closed = why.Error()
		e.hub.log.Info("orders wait", "event", "gateClosed", "reason", why)
	}
}

func (e *engine) opened(in *inputs) {
	if e.closed != "" {
		e.closed = ""
		e.hub.log.Info("orders go out", "event", "gateOpen", "epoch", in.lead.epoch, "revision", in.revision)
	}
}

// save stores what changed of the decisions. Nothing that follows from them may be sent before.
func (e *engine) save(ctx context.Context, lead *leadership, out *plan.Output) error {
	want := out.Decisions
	put := map[netip.Addr]plan.Decision{}
	for addr, d := range want {
		if e.decisions[addr] != d {
			put[addr] = d
		}
	}
	var drop []netip.Addr
	for addr := range e.decisions {
		if _, stays := want[addr]; !stays {
			drop = append(drop, addr)
		}
	}
	if len(put) == 0 && len(drop) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := e.hub.store.SaveDecisions(limited, lead.epoch, put, drop); err != nil {
		return fmt.Errorf("save decisions: %w", err)
	}
	for addr, d := range put {
		before := e.decisions[addr]
		e.hub.log.Info("layer-2 owner decided", "event", "ownerDecided", "ip", addr.String(), "node", d.Owner, "term", d.Term,
			"before", before.Owner, "reason", d.Reason)
		if before.Owner != "" && before.Owner != d.Owner {
			e.moved(out, addr, before, d)
		}
	}
	e.decisions = maps.Clone(want)
	return nil
}

// moved tells the Services of an address that it has another owner.
func (e *engine) moved(out *plan.Output, addr netip.Addr, from, to plan.Decision) {
	e.hub.nodes.begins(to.Owner, addr)
	message := fmt.Sprintf("%s moved from %s to %s: %s", addr, from.Owner, to.Owner, to.Reason)
	for _, name := range out.ServicesOf(addr) {
		if service, ok := e.hub.cluster.Service(name); ok {
			e.hub.events.Service(service, to.Owner, corev1.EventTypeNormal, "OwnerChanged", message)
		}
	}
}

// publish makes orders of a plan and lets the streams send them. Without layer2, that lane stays as it was.
func (e *engine) publish(in *inputs, out *plan.Output, layer2 bool) {
	h := e.hub
	before := h.desired.Load()
	by := stamp{lineage: h.store.Lineage(), epoch: in.lead.epoch, revision: in.revision, adoption: in.adoption}
	next := compose(by, before, out.Nodes, func(node string, lane ingotv1.Lane) map[string]*ingotv1.Item {
		if lane == layer2Lane && !layer2 {
			if old := before.order(node, lane); old != nil && old.epoch == by.epoch {
				return old.items
			}
			return nil
		}
		if items := out.Nodes[node].Items[lane]; items != nil {
			return items
		}
		return map[string]*ingotv1.Item{}
	})
	if layer2 {
		next.heard = in.heard
	} else if before != nil {
		next.heard = before.heard
	}
	e.explain(out, in.class, routingLane)
	if layer2 {
		e.explain(out, in.class, layer2Lane)
		fresh := newlyWithheld(e.said, out)
		logWithheld(h.log, fresh)
		for _, w := range fresh {
			if object, ok := objectOf(in.config, w); ok {
				h.events.NotUsed(object, string(w.Reason), w.Message)
			} else if service, ok := h.cluster.Service(w.Name); ok && w.Kind == plan.KindService {
				switch w.Reason {
				case plan.ReasonNotAllocated:
					h.events.NotAllocated(service, w.Message)
				case plan.ReasonUnfit, plan.ReasonNotDrained:
					h.events.Service(service, "", corev1.EventTypeWarning, string(w.Reason), w.Message)
				}
			}
		}
		e.said = out
		h.nodes.forget(func(name string) bool { return out.Nodes[name] != nil })
		e.removed.forget(out.Nodes)
	}
	if h.lead.Load() != in.lead {
		return // lost while planning
	}
	h.desired.Store(next)
	if h.lead.Load() != in.lead {
		h.desired.CompareAndSwap(next, nil)
	}
	h.nodes.wakeAll()
}

// explain keeps the reasons for which items left the plan in a lane.
func (e *engine) explain(out *plan.Output, class string, lane ingotv1.Lane) {
	words := newReasons(out, class, e.hub.cluster.Service, e.hasPeer)
	for node, after := range out.Nodes {
		var before map[string]*ingotv1.Item
		if p := e.last[lane][node]; p != nil {
			before = p.Items[lane]
		}
		e.removed.note(node, before, after.Items[lane], words.why)
	}
	e.last[lane] = out.Nodes
}
