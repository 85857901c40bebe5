package operator

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metrics are what the operator counts.
type metrics struct {
	reconciles *prometheus.CounterVec
	repairs    *prometheus.CounterVec
	condition  *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		reconciles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_operator_reconciles_total", Help: "Times that the cluster was compared with the MetalLB object, by result: success or error",
		}, []string{"result"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_operator_repairs_total", Help: "Objects that somebody else had changed and that were put right, by kind",
		}, []string{"kind"}),
		condition: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ingot_operator_condition_bool", Help: "1 if the MetalLB object has the condition; none is there without an object",
		}, []string{"type"}),
	}
	for _, result := range []string{"success", "error"} {
		m.reconciles.WithLabelValues(result)
	}
	return m
}

func (m *metrics) repaired(kind string) { m.repairs.WithLabelValues(kind).Inc() }

// conditions shows them; none where there is no object.
func (m *metrics) conditions(now []metav1.Condition) {
	if len(now) == 0 {
		m.condition.Reset()
	}
	for _, c := range now { // of the same types every time: none may be missing while somebody reads them
		value := 0.0
		if c.Status == metav1.ConditionTrue {
			value = 1
		}
		m.condition.WithLabelValues(c.Type).Set(value)
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.reconciles.Describe(ch)
	m.repairs.Describe(ch)
	m.condition.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.reconciles.Collect(ch)
	m.repairs.Collect(ch)
	m.condition.Collect(ch)
}
