package service

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
)

// awaitHolders waits until the ledger says so: address, Services, address, Services.
func (c *cluster) awaitHolders(pairs ...string) {
	c.Helper()
	want := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	defer func() {
		if c.Failed() {
			c.Logf("the ledger, -want +got:\n%s", cmp.Diff(want, c.ledger.holders()))
		}
	}()
	c.await("the ledger to be as it should", func() bool { return maps.Equal(want, c.ledger.holders()) })
}

func (c *cluster) awaitEstablished() {
	c.Helper()
	c.await("the ledger to be established", func() bool {
		established := false
		c.ledger.set(func() { established = c.ledger.established })
		return established
	})
}

// annotate sets an annotation of a Service; "" removes it.
func (c *cluster) annotate(name, key, value string) {
	c.Helper()
	c.await("writing Service "+name, func() bool {
		svc := c.service(name)
		setAnnotation(svc, key, value)
		_, err := c.client.CoreV1().Services("default").Update(c.ctx, svc, metav1.UpdateOptions{})
		return err == nil
	})
}

// entry puts a claim into the ledger that nobody here made.
func (l *memoryLedger) entry(t *testing.T, name, addr string) {
	t.Helper()
	l.set(func() {
		claim := metallb.ServiceClaim{Namespace: "default", Name: name, Pool: "web", Addresses: []string{addr}}
		if r, _ := l.entries.Apply(&claim, anywhere, time.Now()); r.Result != metallb.ClaimGranted {
			t.Fatal(r)
		}
	})
}

func TestClaimsFollowServices(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.1")
	if got := c.ledger.holders()["192.0.2.1"]; got != "one" {
		t.Errorf("the ledger has %q for an address that is shown", got)
	}
	shared := func(port int32) change {
		return func(s *corev1.Service) {
			annotated("metallb.io/allow-shared-ip", "k")(s)
			s.Spec.Ports = []corev1.ServicePort{{Port: port}}
		}
	}
	c.createService("tcp", shared(1))
	c.awaitIP("tcp", "192.0.2.2")
	c.createService("udp", shared(2))
	c.awaitIP("udp", "192.0.2.2")
	c.annotate("one", "metallb.io/loadBalancerIPs", "192.0.2.5")
	c.awaitIP("one", "192.0.2.5")
	c.awaitHolders("192.0.2.5", "one", "192.0.2.2", "tcp,udp")
	c.awaitEstablished()
	c.deleteService("tcp")
	c.deleteService("one")
	c.awaitHolders("192.0.2.2", "udp")
}

// TestServicesStayWhileTheLedgerIsAway, and are served soon after it is back.
func TestServicesStayWhileTheLedgerIsAway(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	ctl, _ := c.start(func(o *Options) { o.awayGrace = time.Hour })
	c.createService("one")
	before := c.awaitIP("one", "192.0.2.1")
	c.createService("leaves")
	c.awaitIP("leaves", "192.0.2.2")
	c.ledger.set(func() { c.ledger.fail = errors.New("away") })
	c.annotate("one", "metallb.io/loadBalancerIPs", "192.0.2.5")
	c.awaitDecided(ctl, "one", "192.0.2.5")
	c.deleteService("leaves")
	c.awaitDecided(ctl, "leaves", "")
	c.createService("waits")
	c.awaitDecided(ctl, "waits", "192.0.2.1") // which one has to leave first
	c.awaitIP("one", "192.0.2.1")
	c.awaitIP("waits", "")
	c.ledger.set(func() { c.ledger.fail = nil })
	c.awaitIP("waits", "192.0.2.1")
	c.awaitIP("one", "192.0.2.5")
	c.awaitHolders("192.0.2.5", "one", "192.0.2.1", "waits")
	c.awaitEvents("waits", `Normal IPAllocated: Assigned IP ["192.0.2.1"]`)
	if before.UID != c.service("one").UID {
		t.Error("another Service")
	}
}

// TestAnswersAreLost: what was done without our knowing is found, and neither kept nor done twice.
func TestAnswersAreLost(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	lost := 0
	var mu sync.Mutex
	c.ledger.after = func(*metallb.IPAllocationClaimSpec) error {
		mu.Lock()
		defer mu.Unlock()
		if lost++; lost%2 == 1 {
			return errors.New("connection lost")
		}
		return nil
	}
	c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.1")
	c.annotate("one", "metallb.io/loadBalancerIPs", "192.0.2.5")
	c.awaitIP("one", "192.0.2.5")
	c.awaitHolders("192.0.2.5", "one")
	c.deleteService("one")
	c.awaitHolders()
}

// TestAControllerEndsInBetween: the next one goes on where it ended, whatever that was between.
func TestAControllerEndsInBetween(t *testing.T) {
	for _, when := range []string{"before a claim", "after a claim", "before a release", "after a release"} {
		t.Run(strings.ReplaceAll(when, " ", "-"), func(t *testing.T) {
			c := newCluster(t)
			c.putPool("web", "192.0.2.1-192.0.2.9")
			c.createService("one", annotated("metallb.io/loadBalancerIPs", "192.0.2.5"))
			_, stop := c.start()
			c.awaitIP("one", "192.0.2.5")

			reached, dead := make(chan struct{}), make(chan struct{})
			var once sync.Once
			hook := func(spec *metallb.IPAllocationClaimSpec) error {
				if spec.Term != 1 || strings.HasSuffix(when, "release") != (len(spec.Services[0].Release) > 0) {
					return nil
				}
				once.Do(func() { close(reached) })
				<-dead
				return errors.New("dead")
			}
			c.ledger.set(func() {
				if strings.HasPrefix(when, "before") {
					c.ledger.before = hook
				} else {
					c.ledger.after = hook
				}
			})
			c.annotate("one", "metallb.io/loadBalancerIPs", "192.0.2.6")
			<-reached
			go close(dead)
			stop()
			c.start()
			c.awaitIP("one", "192.0.2.6")
			c.awaitHolders("192.0.2.6", "one")
			c.awaitEstablished()
		})
	}
}

// TestLedgerAndStatusesAreBroughtTogether at the start, and when somebody changes the ledger.
func TestLedgerAndStatusesAreBroughtTogether(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	_, stop := c.start()
	c.createService("one")
	c.awaitIP("one", "192.0.2.1")
	c.createService("two")
	c.awaitIP("two", "192.0.2.2")
	c.createService("internal", typed(corev1.ServiceTypeClusterIP))
	stop()
	c.ledger.set(func() { c.ledger.entries = ledger.Entries{} })
	c.ledger.entry(t, "nobody", "192.0.2.3")
	c.ledger.entry(t, "internal", "192.0.2.4")
	c.ledger.entry(t, "two", "192.0.2.5")
	c.ledger.entry(t, "nobody", "192.0.2.2") // which two shows
	c.createService("claimed")
	c.ledger.entry(t, "claimed", "192.0.2.7")
	settled := c.service("one").ResourceVersion

	c.start()
	c.awaitIP("claimed", "192.0.2.7")
	c.awaitHolders("192.0.2.1", "one", "192.0.2.2", "two", "192.0.2.7", "claimed")
	c.awaitEvents("claimed", `Normal IPAllocated: Assigned IP ["192.0.2.7"]`)
	c.awaitIP("one", "192.0.2.1")
	c.awaitIP("two", "192.0.2.2")
	if now := c.service("one").ResourceVersion; now != settled {
		t.Error("a settled Service was written")
	}
	if got := c.service("two").Annotations[withdrawn]; !strings.HasPrefix(got, "192.0.2.5 at ") {
		t.Errorf("a claim of a former controller was released while that could still write: %q", got)
	}

	c.awaitEstablished()
	c.ledger.set(func() { c.ledger.entries, c.ledger.established = ledger.Entries{}, false })
	c.awaitHolders("192.0.2.1", "one", "192.0.2.2", "two", "192.0.2.7", "claimed")
	c.awaitEstablished()
	if now := c.service("one").ResourceVersion; now != settled {
		t.Error("a settled Service was written")
	}
}

// TestAControllerThatComesBackTooLate: paused between its claim and its write, it finds that another one has done the
// work, and writes nothing.
func TestAControllerThatComesBackTooLate(t *testing.T) {
	t.Run("it was right", func(t *testing.T) { comesBackTooLate(t, true) })
	t.Run("it was wrong", func(t *testing.T) { comesBackTooLate(t, false) })
}

func comesBackTooLate(t *testing.T, wanted bool) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.1")
	paused, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.ledger.after = func(spec *metallb.IPAllocationClaimSpec) error {
		if spec.Term == 1 && len(spec.Services[0].Addresses) > 0 {
			once.Do(func() { close(paused) })
			<-resume
		}
		return nil
	}
	_, stop := c.start()
	c.createService("late")
	<-paused
	if !wanted { // the next controller has other plans
		c.createService("chosen")
		c.ledger.set(func() { c.ledger.entries[netip.MustParseAddr("192.0.2.1")].Spec.Pool = "gone" })
		c.putPool("web", "192.0.2.2-192.0.2.2")
	}
	c.start()
	if wanted {
		c.awaitIP("late", "192.0.2.1")
		c.awaitHolders("192.0.2.1", "late")
	} else {
		c.await("one of them to have the only address", func() bool {
			holders := c.ledger.holders()
			return len(holders) == 1 && holders["192.0.2.2"] != ""
		})
	}
	close(resume)
	stop()
	shown := map[string][]string{}
	for name, svc := range c.services() {
		for _, ip := range texts(ingressAddrs(&svc)) {
			shown[ip] = append(shown[ip], name)
		}
	}
	for ip, names := range shown {
		if holder := c.ledger.holders()[ip]; len(names) > 1 || names[0] != holder {
			t.Errorf("%s is shown by %q, and held by %q", ip, names, holder)
		}
	}
}

// TestTwoControllers: the one that began first ends.
func TestTwoControllers(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	first, stop := c.start()
	c.start()
	c.await("the first one to give up", func() bool { return first.Ready() != nil })
	stop()
	c.createService("one")
	c.awaitIP("one", "192.0.2.1")
	c.awaitHolders("192.0.2.1", "one")
}

// TestAddressesChangePlaces: of two Services that want what the other one has, both get it.
func TestAddressesChangePlaces(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.2")
	c.start()
	c.createService("one", annotated("metallb.io/loadBalancerIPs", "192.0.2.1"))
	c.createService("two", annotated("metallb.io/loadBalancerIPs", "192.0.2.2"))
	c.awaitIP("one", "192.0.2.1")
	c.awaitIP("two", "192.0.2.2")
	c.annotate("one", "metallb.io/loadBalancerIPs", "192.0.2.2")
	c.annotate("two", "metallb.io/loadBalancerIPs", "192.0.2.1")
	c.awaitIP("one", "192.0.2.2")
	c.awaitIP("two", "192.0.2.1")
	c.awaitHolders("192.0.2.2", "one", "192.0.2.1", "two")
}

// TestThePastOutlivesTheController: a Service that is made anew gets its address back, also from the next controller;
// and what is not needed any longer is forgotten.
func TestThePastOutlivesTheController(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.1-192.0.2.9")
	_, stop := c.start()
	for i, name := range []string{"first", "second", "third"} {
		c.createService(name)
		c.awaitIP(name, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}).String())
	}
	c.deleteService("second")
	c.deleteService("first")
	c.awaitHolders("192.0.2.3", "third")
	stop()
	c.deleteService("third") // while nobody looks
	c.start()
	c.awaitHolders()
	for _, name := range []string{"third", "second"} {
		c.createService(name)
	}
	c.awaitIP("second", "192.0.2.2")
	c.awaitIP("third", "192.0.2.3")
	c.ledger.set(func() {
		c.ledger.past["198.51.100.1"] = metallb.PastAllocation{Address: "198.51.100.1", Namespace: "default", Name: "old", Released: metav1.NewTime(time.Now().Add(-48 * time.Hour))}
	})
	c.start()
	c.await("an old story to be forgotten", func() bool {
		var known []string
		c.ledger.set(func() { known = slices.Sorted(maps.Keys(c.ledger.past)) })
		return slices.Equal(known, []string{"192.0.2.1"})
	})
}
