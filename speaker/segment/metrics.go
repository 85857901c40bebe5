package segment

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// metrics are what Prometheus is told.
type metrics struct{ asked, unasked atomic.Uint64 }

func (m *metrics) register(w *Watcher, r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(collector{w})
	}
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ingot_speaker_segment_"+name, help, labels, nil)
}

var (
	descPeers     = newDesc("peers", "Other nodes that are listened to on an interface, by what their BFD session says (unwatched, down, up, left)", "interface", "bfd")
	descAnswering = newDesc("peers_answering", "Other nodes on an interface that answer when they are asked for their address", "interface")
	descWitnesses = newDesc("witnesses", "Hosts on an interface, other than nodes, that are asked whether they are heard, by their answer (unknown, answers, silent)", "interface", "answer")
	descAsks      = newDesc("asks_total", "Questions sent (ARP requests and neighbour solicitations) to know who is heard")
	descUnasked   = newDesc("ask_failures_total", "Questions that could not be sent")
)

// collector reads the metrics of a watcher.
type collector struct{ *Watcher }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{descPeers, descAnswering, descWitnesses, descAsks, descUnasked} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	ch <- prometheus.MustNewConstMetric(descAsks, prometheus.CounterValue, float64(c.metrics.asked.Load()))
	ch <- prometheus.MustNewConstMetric(descUnasked, prometheus.CounterValue, float64(c.metrics.unasked.Load()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range c.segments {
		states, answering, answers := map[State]int{}, 0, map[ingotv1.Answer]int{}
		for _, p := range s.peers {
			states[p.state()]++
			if p.host.state == ingotv1.Answer_ANSWER_ANSWERS {
				answering++
			}
		}
		for _, h := range s.witnesses() {
			if h.counts() {
				answers[h.state]++
			}
		}
		for _, state := range [...]State{Unwatched, Down, Up, Left} {
			gauge(descPeers, states[state], name, state.String())
		}
		gauge(descAnswering, answering, name)
		for answer, label := range [...]string{"unknown", "answers", "silent"} {
			gauge(descWitnesses, answers[ingotv1.Answer(answer)], name, label)
		}
	}
}
