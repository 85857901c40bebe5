package service

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// counters are what the metrics count.
type counters struct{ updates, errors atomic.Uint64 }

// Metrics with MetalLB's names (spec.md section 8.1).
var (
	addressesTotal   = allocatorMetric("addresses_total", "Number of usable IP addresses per pool")
	addresses4Total  = allocatorMetric("ipv4_addresses_total", "Number of usable IPv4 addresses per pool")
	addresses6Total  = allocatorMetric("ipv6_addresses_total", "Number of usable IPv6 addresses per pool")
	addressesInUse   = allocatorMetric("addresses_in_use_total", "Number of IP addresses in use per pool")
	addresses4InUse  = allocatorMetric("ipv4_addresses_in_use_total", "Number of IPv4 addresses in use per pool")
	addresses6InUse  = allocatorMetric("ipv6_addresses_in_use_total", "Number of IPv6 addresses in use per pool")
	servicesWithPool = allocatorMetric("services_allocated_total", "Number of services allocated per pool")

	updatesTotal = clientMetric("updates_total", "Number of k8s object updates that have been processed")
	errorsTotal  = clientMetric("update_errors_total", "Number of k8s object updates that failed for some reason")
	configLoaded = clientMetric("config_loaded_bool", "1 if the MetalLB configuration was successfully loaded at least once")
	configStale  = clientMetric("config_stale_bool", "1 if running on a stale configuration, because the latest config failed to load")
	ledgerAway   = prometheus.NewDesc("ingot_controller_ledger_unavailable_bool", "1 if the ledger of addresses does not answer, so that no service gets one", nil, nil)
	waiting      = prometheus.NewDesc("ingot_controller_services_pending", "Number of services that wait for an IP address", nil, nil)
)

// claimMetrics are of what is asked of the ledger.
type claimMetrics struct {
	results  *prometheus.CounterVec
	duration prometheus.Histogram
}

func newClaimMetrics() claimMetrics {
	m := claimMetrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_controller_ledger_claims_total",
			Help: "Claims of addresses by result: Granted, Held by another Service, NotInPool, Reserved, Retry, or Unanswered",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingot_controller_ledger_request_duration_seconds",
			Help: "Time until the ledger of addresses answered a request of one or more claims", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	for _, result := range []v1beta1.ClaimResult{
		v1beta1.ClaimGranted, v1beta1.ClaimHeld, v1beta1.ClaimNotInPool, v1beta1.ClaimReserved, v1beta1.ClaimRetry, unanswered,
	} {
		m.results.WithLabelValues(string(result))
	}
	return m
}

// unanswered is the result of claims of which it is not known what became of them.
const unanswered = "Unanswered"

// answered counts the claims of a request; status is nil where it was not answered.
func (m *claimMetrics) answered(claims []v1beta1.ServiceClaim, status *v1beta1.IPAllocationClaimStatus, took time.Duration) {
	if len(claims) == 0 {
		return
	}
	m.duration.Observe(took.Seconds())
	for i := range claims {
		result := v1beta1.ClaimResult(unanswered)
		if status != nil {
			result = status.Services[i].Result
		}
		m.results.WithLabelValues(string(result)).Inc()
	}
}

func allocatorMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("metallb_allocator_"+name, help, []string{"pool"}, nil)
}

func clientMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("metallb_k8s_client_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (c *Controller) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		addressesTotal, addresses4Total, addresses6Total, addressesInUse, addresses4InUse, addresses6InUse, servicesWithPool,
		updatesTotal, errorsTotal, configLoaded, configStale, waiting, ledgerAway,
	} {
		out <- d
	}
	c.claims.results.Describe(out)
	c.claims.duration.Describe(out)
}

// Collect implements prometheus.Collector: it counts when asked, so that pools that are gone leave nothing behind.
func (c *Controller) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	names, counts := c.poolCounts()
	for _, name := range names {
		four, six := counts[name][ipam.IPv4], counts[name][ipam.IPv6]
		gauge(addressesTotal, sum(four.Total, six.Total), name)
		gauge(addresses4Total, float64(four.Total), name)
		gauge(addresses6Total, float64(six.Total), name)
		gauge(addressesInUse, sum(four.Assigned, six.Assigned), name)
		gauge(addresses4InUse, float64(four.Assigned), name)
		gauge(addresses6InUse, float64(six.Assigned), name)
	}
	c.mu.Lock()
	stale, pending := len(c.book.unusable) > 0, len(c.pending)
	holders := c.desk.ips.Holders()
	lost := !c.account.away.IsZero()
	c.mu.Unlock()
	for _, name := range names {
		gauge(servicesWithPool, float64(holders[name]), name)
	}
	if c.begun.Load() { // who only stands by has no configuration to load, and no alert is due
		gauge(configLoaded, truth(c.loaded.Load()))
		gauge(configStale, truth(stale))
	}
	gauge(waiting, float64(pending))
	gauge(ledgerAway, truth(lost))
	c.claims.results.Collect(out)
	c.claims.duration.Collect(out)
	out <- prometheus.MustNewConstMetric(updatesTotal, prometheus.CounterValue, float64(c.counters.updates.Load()))
	out <- prometheus.MustNewConstMetric(errorsTotal, prometheus.CounterValue, float64(c.counters.errors.Load()))
}

// sum saturates like its terms.
func sum(a, b int64) float64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return float64(a + b)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
