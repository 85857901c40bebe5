package conflicts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// cluster is Services that know server-side apply of one condition.
type cluster struct {
	corev1client.ServiceInterface
	services map[types.NamespacedName]*corev1.Service
	fail     int
	said     []string
	version  int
}

func (c *cluster) Services(string) corev1client.ServiceInterface { return c }

func (c *cluster) ApplyStatus(_ context.Context, config *applycorev1.ServiceApplyConfiguration, o metav1.ApplyOptions) (*corev1.Service, error) {
	if c.fail > 0 {
		c.fail--
		return nil, errors.New("away")
	}
	name := types.NamespacedName{Namespace: *config.Namespace, Name: *config.Name}
	svc := c.services[name].DeepCopy()
	svc.Status.Conditions = nil
	text := "none"
	for _, a := range config.Status.Conditions {
		svc.Status.Conditions = append(svc.Status.Conditions, metav1.Condition{Type: *a.Type, Status: *a.Status, Reason: *a.Reason, Message: *a.Message})
		text = fmt.Sprintf("%s=%s %s", *a.Type, *a.Status, *a.Reason)
	}
	c.version++
	svc.ResourceVersion = fmt.Sprint(c.version)
	c.services[name] = svc
	c.said = append(c.said, fmt.Sprintf("%s writes %s of %s", o.FieldManager, text, name.Name))
	return svc, nil
}

func (c *cluster) add(name string, kind corev1.ServiceType, conditions ...metav1.Condition) types.NamespacedName {
	key := types.NamespacedName{Namespace: "default", Name: name}
	c.version++
	c.services[key] = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), ResourceVersion: fmt.Sprint(c.version)},
		Spec: corev1.ServiceSpec{Type: kind}, Status: corev1.ServiceStatus{Conditions: conditions}}
	return key
}

func (c *cluster) teller() *Teller {
	return New(Options{
		Services: c, Log: slog.New(slog.DiscardHandler),
		Find: func(name types.NamespacedName) (*corev1.Service, bool) { svc, ok := c.services[name]; return svc, ok },
		All: func() (all []*corev1.Service) {
			for _, svc := range c.services {
				all = append(all, svc)
			}
			return all
		},
		Event: func(svc *corev1.Service, node, kind, reason, message string) {
			c.said = append(c.said, fmt.Sprintf("event on %s: %s %s %s", svc.Name, kind, reason, message))
		},
	})
}

func (c *cluster) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.said); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	c.said = nil
}

func foreign(address, mac, node string) Conflict {
	return Conflict{Address: netip.MustParseAddr(address), MAC: mac, Node: node, Interface: "eth1"}
}

func TestAConflictIsToldOnceWhenItBeginsAndOnceWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{services: map[types.NamespacedName]*corev1.Service{}}
		web := c.add("web", corev1.ServiceTypeLoadBalancer)
		c.add("well", corev1.ServiceTypeLoadBalancer)
		c.add("before", corev1.ServiceTypeLoadBalancer, metav1.Condition{Type: ConditionType, Status: metav1.ConditionTrue, Message: "an old one"})
		c.add("no more", corev1.ServiceTypeClusterIP, metav1.Condition{Type: ConditionType, Status: metav1.ConditionFalse})
		teller := c.teller()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go teller.Run(ctx)
		tell := func(conflicts ...Conflict) {
			teller.Tell(map[types.NamespacedName][]Conflict{web: conflicts})
			<-time.After(time.Minute)
			synctest.Wait()
		}

		teller.Tell(map[types.NamespacedName][]Conflict{})
		<-time.After(time.Second)
		if len(c.said) != 3 { // in any order
			t.Errorf("what a leader before left: %q", c.said)
		}
		c.said = nil
		c.fail = 3
		tell(foreign("192.0.2.1", "52:54:00:00:00:99", "node1"))
		c.expect(t, "begins", "ingot-apiserver writes ingot.io/AddressConflict=True ForeignHost of web",
			"event on web: Warning AddressConflict another host with the hardware address 52:54:00:00:00:99 uses 192.0.2.1: node node1 heard it on eth1")
		tell(foreign("192.0.2.1", "52:54:00:00:00:99", "node1"))
		tell(foreign("192.0.2.1", "52:54:00:00:00:99", "node2"))
		c.expect(t, "goes on, and is heard elsewhere")
		tell(foreign("2001:db8::1", "52:54:00:00:00:98", "node2"), foreign("192.0.2.1", "52:54:00:00:00:99", "node1"))
		c.expect(t, "a second one", "ingot-apiserver writes ingot.io/AddressConflict=True ForeignHost of web",
			"event on web: Warning AddressConflict another host with the hardware address 52:54:00:00:00:99 uses 192.0.2.1: node node1 heard it on eth1; "+
				"another host with the hardware address 52:54:00:00:00:98 uses 2001:db8::1: node node2 heard it on eth1")
		teller.Tell(nil) // another replica leads
		<-time.After(time.Minute)
		tell(foreign("2001:db8::1", "52:54:00:00:00:98", "node2"), foreign("192.0.2.1", "52:54:00:00:00:99", "node1"))
		c.expect(t, "this one leads again")
		tell()
		tell()
		c.expect(t, "ends", "ingot-apiserver writes ingot.io/AddressConflict=False Resolved of web",
			"event on web: Normal AddressConflictResolved no other host was heard using the addresses lately")
		svc := c.services[web].DeepCopy()
		svc.Spec.Type, svc.ResourceVersion = corev1.ServiceTypeClusterIP, "later"
		c.services[web] = svc
		tell()
		c.expect(t, "no load balancer any longer", "ingot-apiserver writes none of web")
		delete(c.services, web)
		tell(foreign("192.0.2.1", "52:54:00:00:00:99", "node1"))
		c.expect(t, "gone")
	})
}

// TestWhatWasWrittenIsNotWrittenAgain though it has not come back yet.
func TestWhatWasWrittenIsNotWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{services: map[types.NamespacedName]*corev1.Service{}}
		web := c.add("web", corev1.ServiceTypeLoadBalancer)
		stale := c.services[web]
		teller := c.teller()
		teller.Find = func(types.NamespacedName) (*corev1.Service, bool) { return stale, true }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go teller.Run(ctx)
		for range 3 {
			teller.Tell(map[types.NamespacedName][]Conflict{web: {foreign("192.0.2.1", "52:54:00:00:00:99", "node1")}})
			<-time.After(time.Second)
		}
		synctest.Wait()
		if len(c.said) != 2 {
			t.Errorf("written: %q", c.said)
		}
	})
}
