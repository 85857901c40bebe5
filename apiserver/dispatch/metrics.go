package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// metrics are the hub's own, in a registry of their own.
type metrics struct {
	registry      *prometheus.Registry
	rpc           *rpcMetrics
	resyncs       *prometheus.CounterVec
	rejects       *prometheus.CounterVec
	eventsDropped prometheus.Counter
	planned       prometheus.Histogram
	judged        prometheus.Histogram
}

func newMetrics(h *Hub) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rpc:      newRPCMetrics(),
		resyncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_dispatch_resyncs_total", Help: "Full states begun, by lane.",
		}, []string{"lane"}),
		rejects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_dispatch_rejected_items_total", Help: "Items that speakers answered as rejected, by lane.",
		}, []string{"lane"}),
		eventsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingot_dispatch_events_dropped_total", Help: "Kubernetes events that could not be written.",
		}),
		planned: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingot_dispatch_plan_duration_seconds", Help: "Time that planning took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
	}
	m.judged = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ingot_layer2_judge_duration_seconds", Help: "Time that it took to judge the segments of layer 2.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
	})
	m.registry.MustRegister(m.rpc.collector, m.resyncs, m.rejects, m.eventsDropped, m.planned, m.judged, liveMetrics{h})
	return m
}

// liveMetrics reads the state of the hub when it is asked.
type liveMetrics struct{ hub *Hub }

var (
	connectedDesc = prometheus.NewDesc("ingot_dispatch_connected_speakers", "Speakers with a stream to this replica.", nil, nil)
	epochDesc     = prometheus.NewDesc("ingot_dispatch_leader_epoch", "Epoch in which this replica leads; 0 while it does not.", nil, nil)
	itemsDesc     = prometheus.NewDesc("ingot_dispatch_items", "Items that all nodes together shall have, by lane.", []string{"lane"}, nil)
	unackedDesc   = prometheus.NewDesc("ingot_dispatch_unacked_age_seconds", "Age of the oldest update that is not acknowledged.", nil, nil)
	conflictsDesc = prometheus.NewDesc("ingot_layer2_conflicts", "Layer-2 addresses that a host uses which is none of ours.", nil, nil)
	faultsDesc    = prometheus.NewDesc("ingot_layer2_faults", "Links of nodes with which something is wrong, by reason.", []string{"node", "reason"}, nil)
	refusedDesc   = prometheus.NewDesc("ingot_dispatch_refusing_nodes", "Connected nodes that refuse what they are told, by refusal.", []string{"refusal"}, nil)
)

// Describe implements prometheus.Collector.
func (liveMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectedDesc, epochDesc, itemsDesc, unackedDesc, refusedDesc, conflictsDesc, faultsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l liveMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	connected, unacked, refusing := l.hub.nodes.count()
	gauge(connectedDesc, float64(connected))
	gauge(unackedDesc, unacked.Seconds())
	for _, kind := range []ingotv1.Refusal{ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE, ingotv1.Refusal_REFUSAL_OLD_EPOCH, ingotv1.Refusal_REFUSAL_HELD_BACK} {
		gauge(refusedDesc, float64(refusing[kind]), kind.String())
	}
	gauge(epochDesc, float64(l.hub.epoch()))
	l.layer2(gauge)
	items := map[ingotv1.Lane]int{}
	if d := l.hub.desired.Load(); d != nil {
		for _, orders := range d.nodes {
			for lane, o := range orders {
				items[lane] += len(o.items)
			}
		}
	}
	for _, lane := range allLanes {
		gauge(itemsDesc, float64(items[lane]), laneName(lane))
	}
}

// layer2 counts what is wrong by the last plan.
func (l liveMetrics) layer2(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	v := l.hub.view.Load()
	gauge(conflictsDesc, float64(len(v.foreign())))
	if v == nil {
		return
	}
	for node := range v.out.Nodes {
		links := map[string]map[string]bool{}
		for _, f := range v.faults(node) {
			reason := string(f.Reason)
			if links[reason] == nil {
				links[reason] = map[string]bool{}
			}
			links[reason][f.Interface] = true
		}
		for reason, of := range links {
			gauge(faultsDesc, float64(len(of)), node, reason)
		}
	}
}

// count sums up the nodes: those connected, the age of the oldest unacknowledged update, and who refuses what.
func (n *nodes) count() (connected int, unacked time.Duration, refusing map[ingotv1.Refusal]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	refusing = map[ingotv1.Refusal]int{}
	for _, x := range n.byName {
		if x.stream == nil {
			continue
		}
		connected++
		for _, since := range x.unacked {
			unacked = max(unacked, now.Sub(since))
		}
		kinds := map[ingotv1.Refusal]bool{}
		for _, r := range x.state.Refusals {
			kinds[r.Kind] = true
		}
		for kind := range kinds {
			refusing[kind]++
		}
	}
	return connected, unacked, refusing
}
