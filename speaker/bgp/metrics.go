package bgp

import (
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// defaultVRF is the label of sessions in no VRF, as MetalLB's FRR mode has it.
const defaultVRF = "default"

// sessionMetric is one of MetalLB's metrics: its name, and how to read it of a session.
type sessionMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(snapshot) float64
}

// snapshot is what the metrics of one neighbour are read from.
type snapshot struct {
	counters
	up, advertised, wanted int
}

func newMetric(name string, kind prometheus.ValueType, help string, read func(snapshot) float64) sessionMetric {
	return sessionMetric{prometheus.NewDesc("metallb_bgp_"+name, help, []string{"peer", "vrf"}, nil), kind, read}
}

var sessionMetrics = []sessionMetric{
	newMetric("session_up", prometheus.GaugeValue, "BGP session state (1 is up, 0 is down)", func(s snapshot) float64 { return float64(s.up) }),
	newMetric("announced_prefixes_total", prometheus.GaugeValue, "Number of prefixes currently being advertised on the BGP session", func(s snapshot) float64 { return float64(s.advertised) }),
	newMetric("pending_prefixes_total", prometheus.GaugeValue, "Number of prefixes that should be advertised on the BGP session", func(s snapshot) float64 { return float64(s.wanted) }),
	newMetric("updates_total", prometheus.CounterValue, "Number of BGP UPDATE messages sent", func(s snapshot) float64 { return float64(s.updatesSent) }),
	newMetric("updates_total_received", prometheus.CounterValue, "Number of BGP UPDATE messages received", func(s snapshot) float64 { return float64(s.updatesReceived) }),
	newMetric("opens_sent", prometheus.CounterValue, "Number of BGP OPEN messages sent", func(s snapshot) float64 { return float64(s.opensSent) }),
	newMetric("opens_received", prometheus.CounterValue, "Number of BGP OPEN messages received", func(s snapshot) float64 { return float64(s.opensReceived) }),
	newMetric("notifications_sent", prometheus.CounterValue, "Number of BGP NOTIFICATION messages sent", func(s snapshot) float64 { return float64(s.notificationsSent) }),
	newMetric("keepalives_sent", prometheus.CounterValue, "Number of BGP KEEPALIVE messages sent", func(s snapshot) float64 { return float64(s.keepalivesSent) }),
	newMetric("keepalives_received", prometheus.CounterValue, "Number of BGP KEEPALIVE messages received", func(s snapshot) float64 { return float64(s.keepalivesReceived) }),
	newMetric("route_refresh_sent", prometheus.CounterValue, "Number of BGP ROUTE-REFRESH messages sent", func(s snapshot) float64 { return float64(s.refreshSent) }),
	newMetric("total_sent", prometheus.CounterValue, "Number of BGP messages sent", func(s snapshot) float64 { return float64(s.totalSent) }),
	newMetric("total_received", prometheus.CounterValue, "Number of BGP messages received", func(s snapshot) float64 { return float64(s.totalReceived) }),
}

// collector reads the sessions when it is asked.
type collector struct{ speaker *Speaker }

// Describe lists the metrics.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range sessionMetrics {
		ch <- m.desc
	}
}

// Collect reads every session. Two sessions with the same address, port and VRF count as one.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	type labels struct{ peer, vrf string }
	snapshots := make(map[labels]snapshot)
	for _, session := range c.speaker.list() {
		session.count(shownFresh)
		l := labels{net.JoinHostPort(session.cfg.neighbour(), strconv.Itoa(int(session.cfg.port))), session.cfg.vrf}
		if l.vrf == "" {
			l.vrf = defaultVRF
		}
		sum := snapshots[l]
		session.mu.Lock()
		sum.counters = sum.counters.plus(session.reached.counters)
		if session.state == stateEstablished {
			sum.up = 1
		}
		sum.advertised += session.advertised()
		sum.wanted += session.rib.wanted()
		session.mu.Unlock()
		snapshots[l] = sum
	}
	for l, sum := range snapshots {
		for _, m := range sessionMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(sum), l.peer, l.vrf)
		}
	}
}
