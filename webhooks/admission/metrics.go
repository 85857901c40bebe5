package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// result is what became of a request.
type result string

const (
	admitted   result = "admitted"
	warned     result = "warned"
	refused    result = "refused"
	unsure     result = "unsure"     // admitted, because the state of the cluster was not known
	shed       result = "shed"       // admitted, because too many were under way
	unreadable result = "unreadable" // admitted by the kube-apiserver, because we could not read it
)

type metrics struct {
	requests *prometheus.CounterVec
	findings *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_webhook_requests_total", Help: "Number of admission requests by what became of them"}, []string{"resource", "result"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_webhook_findings_total", Help: "Number of times that something was found wrong, by what"}, []string{"reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ingot_webhook_duration_seconds", Help: "Time to answer an admission request",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}}, []string{"resource"}),
	}
}

func (m *metrics) count(resource string, r result, start time.Time) {
	m.requests.WithLabelValues(resource, string(r)).Inc()
	m.duration.WithLabelValues(resource).Observe(time.Since(start).Seconds())
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	m.requests.Describe(out)
	m.findings.Describe(out)
	m.duration.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.requests.Collect(out)
	m.findings.Collect(out)
	m.duration.Collect(out)
}
