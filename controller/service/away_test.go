package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// TestServicesSayThatTheLedgerIsAway: those that wait for it, once; not those that have what they had. When it is back they
// say what they got.
func TestServicesSayThatTheLedgerIsAway(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	ctl, _ := c.start(func(o *Options) { o.awayGrace = time.Nanosecond })
	c.createService("has")
	c.awaitIP("has", "192.0.2.1")
	c.ledger.set(func() { c.ledger.fail = errors.New("away") })
	c.annotate("has", "metallb.io/loadBalancerIPs", "192.0.2.5")
	c.createService("waits")
	told := c.awaitCondition("waits", "False LedgerUnavailable: ", "metallb.io")
	c.awaitEvents("waits", "Warning LedgerUnavailable: "+away.message)
	const gauge = "# HELP ingot_controller_ledger_unavailable_bool 1 if the ledger of addresses does not answer, so that no service gets one\n" +
		"# TYPE ingot_controller_ledger_unavailable_bool gauge\ningot_controller_ledger_unavailable_bool "
	if err := testutil.CollectAndCompare(ctl, strings.NewReader(gauge+"1\n"), "ingot_controller_ledger_unavailable_bool"); err != nil {
		t.Error(err)
	}
	asked := testutil.ToFloat64(ctl.claims.results.WithLabelValues(unanswered))
	c.await("the ledger to be asked again and again", func() bool {
		return testutil.ToFloat64(ctl.claims.results.WithLabelValues(unanswered)) > asked
	})
	if now := c.service("waits"); now.ResourceVersion != told.ResourceVersion {
		t.Error("a Service was written again for the same cause")
	}
	c.awaitCondition("has", "True Allocated: ", "192.0.2.1")

	c.ledger.set(func() { c.ledger.fail = nil })
	c.awaitIP("has", "192.0.2.5")
	c.awaitCondition("waits", "True Allocated: ", "")
	if err := testutil.CollectAndCompare(ctl, strings.NewReader(gauge+"0\n"), "ingot_controller_ledger_unavailable_bool"); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(ctl.claims.results.WithLabelValues("Granted")); n < 3 {
		t.Errorf("%v claims were granted, want that of each address at least", n)
	}
	if n := testutil.CollectAndCount(ctl, "ingot_controller_ledger_request_duration_seconds"); n != 1 {
		t.Errorf("%d histograms of the ledger's answers", n)
	}
}

// TestNewcomersAreToldThatTheLedgerIsAway: by a controller that starts while it is, and nothing else is written then.
func TestNewcomersAreToldThatTheLedgerIsAway(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	_, stop := c.start()
	c.createService("has")
	c.awaitIP("has", "192.0.2.1")
	c.createService("asks", annotated("metallb.io/loadBalancerIPs", "198.51.100.1"))
	c.awaitCondition("asks", "False NotInPool: ", "")
	stop()
	c.ledger.set(func() { c.ledger.fail = errors.New("away") })
	c.createService("waits")
	c.createService("inside", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	c.createService("others", func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("example.org/other") })
	before := c.services()

	ctl, _ := c.launch(func(o *Options) { o.awayGrace = time.Nanosecond })
	told := c.awaitCondition("waits", "False LedgerUnavailable: ", "metallb.io")
	c.awaitEvents("waits", "Warning LedgerUnavailable: "+away.message)
	c.createService("later")
	c.awaitCondition("later", "False LedgerUnavailable: ", "metallb.io")
	now := c.services()
	for _, name := range []string{"has", "asks", "inside", "others"} {
		if before[name].ResourceVersion != now[name].ResourceVersion {
			t.Errorf("Service %s was written", name)
		}
	}
	if got := now["waits"].ResourceVersion; got != told.ResourceVersion {
		t.Error("a Service was written again for the same cause")
	}
	if ctl.Ready() == nil {
		t.Error("the controller is ready before its term has begun")
	}

	c.ledger.set(func() { c.ledger.fail = nil })
	c.awaitCondition("waits", "True Allocated: ", "of pool web")
	c.awaitCondition("later", "True Allocated: ", "of pool web")
	c.awaitHolders("192.0.2.1", "has", c.service("waits").Status.LoadBalancer.Ingress[0].IP, "waits", c.service("later").Status.LoadBalancer.Ingress[0].IP, "later")
}

// TestLongClaimsAreAskedForInParts: a request is no longer than a server takes.
func TestLongClaimsAreAskedForInParts(t *testing.T) {
	c := newCluster(t)
	const services, most = 30, 3 << 20
	for i := range services {
		c.createService(fmt.Sprint("s", i), annotated("metallb.io/allow-shared-ip", strings.Repeat("k", 150_000)))
	}
	c.ledger.before = func(spec *metallb.IPAllocationClaimSpec) error {
		body, err := json.Marshal(spec)
		if err == nil && len(body) > most {
			err = fmt.Errorf("a request of %d bytes", len(body))
		}
		if err != nil {
			t.Error(err)
		}
		return err
	}
	c.start()
	c.putPool("web", "192.0.2.0/24")
	c.await("addresses for all", func() bool { return len(c.ledger.holders()) == services })
}
