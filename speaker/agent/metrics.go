package agent

import (
	grpc_prometheus "github.com/grpc-ecosystem/go-grpc-prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/certs/expiry"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// metrics are the agent's numbers: counters as things happen, and gauges read from the state when asked.
type metrics struct {
	agent        *Agent
	grpc         *grpc_prometheus.ClientMetrics
	refused      *prometheus.CounterVec
	saveFailures prometheus.Counter
}

var (
	// The first three are MetalLB's (spec.md section 8.1).
	announcedDesc = prometheus.NewDesc("metallb_speaker_announced",
		"Services being announced from this node. This is desired state, it does not guarantee that the routing protocols have converged.",
		[]string{"service", "protocol", "node", "ip"}, nil)
	configLoadedDesc = prometheus.NewDesc("metallb_k8s_client_config_loaded_bool",
		"1 if desired state was obeyed at least once.", nil, nil)
	configStaleDesc = prometheus.NewDesc("metallb_k8s_client_config_stale_bool",
		"1 if running on an old state, because the centre's latest was refused.", nil, nil)
	connectedDesc = prometheus.NewDesc("ingot_speaker_stream_connected",
		"1 while there is a stream to this address of the centre.", []string{"endpoint"}, nil)
	leadingDesc = prometheus.NewDesc("ingot_speaker_stream_leading",
		"1 while the replica at this address says that it leads.", []string{"endpoint"}, nil)
	itemsDesc = prometheus.NewDesc("ingot_speaker_items",
		"Items of desired state that the node holds, by what became of them.", []string{"protocol", "status"}, nil)
	epochDesc = prometheus.NewDesc("ingot_speaker_epoch",
		"Highest epoch of the centre's leadership that the node has seen.", nil, nil)
	revisionDesc = prometheus.NewDesc("ingot_speaker_revision",
		"Configuration revision last applied.", nil, nil)
	refusingDesc = prometheus.NewDesc("ingot_speaker_refusing",
		"1 while the node does not obey the centre it is connected to.", nil, nil)
)

func newMetrics(a *Agent) *metrics {
	m := &metrics{
		agent: a,
		grpc:  grpc_prometheus.NewClientMetrics(),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_speaker_updates_refused_total",
			Help: "Updates of the centre that were refused as a whole.",
		}, []string{"refusal"}),
		saveFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingot_speaker_state_save_failures_total",
			Help: "Times that the state could not be saved; a restart then forgets what is newer.",
		}),
	}
	for code := range ingotv1.Refusal_name {
		if r := ingotv1.Refusal(code); r != ingotv1.Refusal_REFUSAL_UNSPECIFIED {
			m.refused.WithLabelValues(refusalName(r))
		}
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m, m.grpc, m.refused, m.saveFailures} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		announcedDesc, configLoadedDesc, configStaleDesc, connectedDesc, leadingDesc, itemsDesc, epochDesc, revisionDesc, refusingDesc,
		expiry.NotAfterDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if last, ok := lastOf(m.agent.opts.CAFile); ok {
		ch <- expiry.NotAfter("ca", last)
	}
	n := m.agent.core.numbers()
	for _, a := range n.announced {
		gauge(announcedDesc, 1, a.service, a.protocol, m.agent.opts.Node, a.ip)
	}
	gauge(configLoadedDesc, number(n.standing.Lineage != ""))
	gauge(configStaleDesc, number(n.refusing))
	gauge(refusingDesc, number(n.refusing))
	gauge(epochDesc, float64(n.standing.Epoch))
	gauge(revisionDesc, float64(n.standing.Revision))
	for _, s := range n.streams {
		gauge(connectedDesc, number(s.GetConnected()), s.GetEndpoint())
		gauge(leadingDesc, number(s.GetLeading()), s.GetEndpoint())
	}
	for k, count := range n.items {
		gauge(itemsDesc, float64(count), protocolName(k.lane), statusName(k.status))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// statusName is the name of a status in metrics.
func statusName(s ingotv1.ItemResult_Status) string {
	switch s {
	case ingotv1.ItemResult_STATUS_APPLIED:
		return "applied"
	case ingotv1.ItemResult_STATUS_REJECTED:
		return "rejected"
	case ingotv1.ItemResult_STATUS_PENDING:
		return "pending"
	}
	return "unknown"
}

// numbers is what Collect needs of the core, read at one moment.
type numbers struct {
	standing  desired.Standing
	refusing  bool
	announced []announcement
	streams   []*ingotv1.StreamState
	items     map[itemCount]int
}

type itemCount struct {
	lane   ingotv1.Lane
	status ingotv1.ItemResult_Status
}

func (c *core) numbers() numbers {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := numbers{
		standing: c.state.Standing(),
		refusing: c.refusing != "",
		streams:  c.streamStates(),
		items:    map[itemCount]int{},
	}
	for a := range c.announced.counts {
		n.announced = append(n.announced, a)
	}
	for _, lane := range desired.Lanes {
		for _, status := range []ingotv1.ItemResult_Status{
			ingotv1.ItemResult_STATUS_APPLIED, ingotv1.ItemResult_STATUS_REJECTED, ingotv1.ItemResult_STATUS_PENDING,
		} {
			n.items[itemCount{lane, status}] = 0
		}
		for _, h := range c.state.Held(lane) {
			n.items[itemCount{lane, h.Status}]++
		}
	}
	return n
}
