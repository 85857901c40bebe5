// Package expiry has the metrics of certificates, which all programs have alike.
package expiry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics, each with the label certificate.
var (
	NotAfterDesc = prometheus.NewDesc("ingot_certificate_not_after_seconds",
		"When a certificate expires, in seconds since 1970.", []string{"certificate"}, nil)
	RefusedDesc = prometheus.NewDesc("ingot_certificate_refused_total",
		"Certificates that were not taken because of what is wrong with them; the last good one is served.", []string{"certificate"}, nil)
)

// NotAfter says when a certificate expires.
func NotAfter(certificate string, at time.Time) prometheus.Metric {
	return prometheus.MustNewConstMetric(NotAfterDesc, prometheus.GaugeValue, float64(at.Unix()), certificate)
}

// Refused says how many were not taken.
func Refused(certificate string, n int) prometheus.Metric {
	return prometheus.MustNewConstMetric(RefusedDesc, prometheus.CounterValue, float64(n), certificate)
}
