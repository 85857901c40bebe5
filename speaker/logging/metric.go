package logging

import "github.com/prometheus/client_golang/prometheus"

// levelMetric says which level is in force.
var levelMetric = prometheus.NewDesc("ingot_log_level", "1 for the log level in force, and who has set it: --log-level, the MetalLB object, or somebody's request for a limited time.", []string{"level", "by"}, nil)

// Describe implements prometheus.Collector.
func (l *Level) Describe(ch chan<- *prometheus.Desc) { ch <- levelMetric }

// Collect implements prometheus.Collector.
func (l *Level) Collect(ch chan<- prometheus.Metric) {
	name, by, _ := l.InForce()
	ch <- prometheus.MustNewConstMetric(levelMetric, prometheus.GaugeValue, 1, name, by)
}
