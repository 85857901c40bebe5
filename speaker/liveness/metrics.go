package liveness

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/speaker/bfd"
)

// defaultVRF is the label of sessions in no VRF, as MetalLB's FRR mode has it.
const defaultVRF = "default"

// metric is one of MetalLB's metrics: its name, and how to read it of a session.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(snapshot) float64
}

// snapshot is what the metrics of one neighbour are read from.
type snapshot struct {
	bfd.Counters
	up   bool
	told uint64
}

func newMetric(name string, kind prometheus.ValueType, help string, read func(snapshot) float64) metric {
	return metric{prometheus.NewDesc("metallb_bfd_"+name, help, []string{"peer", "vrf"}, nil), kind, read}
}

var metrics = []metric{
	newMetric("session_up", prometheus.GaugeValue, "BFD session state (1 is up, 0 is down)", func(s snapshot) float64 {
		if s.up {
			return 1
		}
		return 0
	}),
	newMetric("control_packet_input", prometheus.CounterValue, "Number of received BFD control packets", func(s snapshot) float64 { return float64(s.ControlReceived) }),
	newMetric("control_packet_output", prometheus.CounterValue, "Number of sent BFD control packets", func(s snapshot) float64 { return float64(s.ControlSent) }),
	newMetric("echo_packet_input", prometheus.CounterValue, "Number of received BFD echo packets", func(s snapshot) float64 { return float64(s.EchoReceived) }),
	newMetric("echo_packet_output", prometheus.CounterValue, "Number of sent BFD echo packets", func(s snapshot) float64 { return float64(s.EchoSent) }),
	newMetric("session_up_events", prometheus.CounterValue, "Number of BFD session up events", func(s snapshot) float64 { return float64(s.UpEvents) }),
	newMetric("session_down_events", prometheus.CounterValue, "Number of BFD session down events", func(s snapshot) float64 { return float64(s.DownEvents) }),
	newMetric("zebra_notifications", prometheus.CounterValue, "Number of changes of the BFD session that BGP was notified of; with FRR, that zebra was", func(s snapshot) float64 { return float64(s.told) }),
}

// collector reads the sessions when it is asked.
type collector struct{ watcher *Watcher }

// Describe lists the metrics.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect reads every session. BGPPeers with the same neighbour in the same VRF share one.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	type labels struct{ peer, vrf string }
	snapshots := map[labels]snapshot{}
	for _, x := range c.watcher.list() {
		l, s := x.snapshot()
		if _, known := snapshots[l]; !known {
			snapshots[l] = s
		}
	}
	for l, s := range snapshots {
		for _, m := range metrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(s), l.peer, l.vrf)
		}
	}
}

func (x *watch) snapshot() (l struct{ peer, vrf string }, s snapshot) {
	x.mu.Lock()
	defer x.mu.Unlock()
	l.peer, l.vrf = neighbour(x.config), x.config.GetVrf()
	if l.vrf == "" {
		l.vrf = defaultVRF
	}
	s = snapshot{Counters: x.before, told: x.told}
	if x.session != nil {
		status := x.session.Status()
		s.Counters, s.up = x.counters(status), status.State == bfd.Up
	}
	return l, s
}
