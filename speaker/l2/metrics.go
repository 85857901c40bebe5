package l2

import (
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are MetalLB's, by address, and how many repeated announcements were dropped, which is ours.
type metrics struct {
	requests, responses, gratuitous *prometheus.CounterVec
	dropped                         prometheus.Counter
}

// counters are one address's part of metrics.
type counters struct {
	requests, responses, gratuitous prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "metallb", Subsystem: "layer2", Name: name, Help: help}, []string{"ip"})
	}
	m := &metrics{
		requests:   vec("requests_received", "Number of layer2 requests received for owned IPs"),
		responses:  vec("responses_sent", "Number of layer2 responses sent for owned IPs in response to requests"),
		gratuitous: vec("gratuitous_sent", "Number of gratuitous layer2 packets sent for owned IPs as a result of failovers"),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingot_layer2_announcements_dropped_total",
			Help: "Repeated announcements that were not sent because there were more than the node may send.",
		}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.responses, m.gratuitous, m.dropped)
	}
	return m
}

// of returns the counters of an address.
func (m *metrics) of(address netip.Addr) counters {
	ip := address.String()
	return counters{m.requests.WithLabelValues(ip), m.responses.WithLabelValues(ip), m.gratuitous.WithLabelValues(ip)}
}

// forget drops an address that this node does not own any more.
func (m *metrics) forget(address netip.Addr) {
	for _, vec := range []*prometheus.CounterVec{m.requests, m.responses, m.gratuitous} {
		vec.DeleteLabelValues(address.String())
	}
}
