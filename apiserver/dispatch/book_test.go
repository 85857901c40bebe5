package dispatch

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/apiserver/plan"
)

// allocate enters, in a confirmed ledger, who holds addresses: address, Service, address, Service.
func (m *memory) allocate(pairs ...string) {
	m.set(func(m *memory) {
		m.ledger = Ledger{Epoch: max(m.epoch, 1), Holdings: map[netip.Addr]ledger.Holding{}}
		for i := 0; i < len(pairs); i += 2 {
			m.ledger.Holdings[netip.MustParseAddr(pairs[i])] = ledger.Holding{Services: []types.NamespacedName{{Namespace: "default", Name: pairs[i+1]}}}
		}
	})
	select {
	case m.ledgerChanged <- struct{}{}:
	default:
	}
}

func newTestBook(m *memory) (*book, *plan.Shown, []*corev1.Service) {
	h := &Hub{store: m, namespace: "metallb-system", log: slog.New(slog.DiscardHandler)}
	b := newBook(h)
	return &b, &plan.Shown{Service: types.NamespacedName{Namespace: "default", Name: "web"}, Address: netip.MustParseAddr("10.0.0.1")},
		[]*corev1.Service{service("web", "10.0.0.1")}
}

// TestTheBookAsks: a status may be heard of before the claim that preceded it.
func TestTheBookAsks(t *testing.T) {
	m := newMemory(configuration())
	m.epoch = 1
	b, web, shown := newTestBook(m)
	m.allocate("10.0.0.9", "other")
	m.unheard = Ledger{Epoch: 1, Holdings: map[netip.Addr]ledger.Holding{web.Address: {Services: []types.NamespacedName{web.Service}}}}
	if l := b.read(t.Context(), 1, shown, ""); !l.Has(*web) || !l.Confirmed {
		t.Errorf("the ledger was not asked: %+v", l)
	}
	if b.read(t.Context(), 1, shown, ""); m.asked != 1 {
		t.Errorf("asked %d times, want once", m.asked)
	}
	if l := b.read(t.Context(), 2, shown, ""); l.Confirmed {
		t.Error("confirmed in another epoch")
	}
	if l := b.read(t.Context(), 0, shown, ""); !l.Confirmed {
		t.Error("not confirmed for those who follow")
	}
}

// TestTheStoreDoesNotAnswer: the ledger is asked again.
func TestTheStoreDoesNotAnswer(t *testing.T) {
	m := newMemory(configuration())
	b, web, shown := newTestBook(m)
	m.allocate()
	m.fail = errors.New("away")
	for want := range 2 {
		if l := b.read(t.Context(), 1, shown, ""); l.Has(*web) || m.asked != want+1 || b.until().IsZero() {
			t.Errorf("asked %d times, want %d; again at %v", m.asked, want+1, b.until())
		}
	}
}

// TestWhatWasDeletedLingers, where it was announced before and nobody else has it.
func TestWhatWasDeletedLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(configuration())
		m.epoch = 1
		b, web, shown := newTestBook(m)
		read := func() *plan.Ledger { return b.read(t.Context(), 1, shown, "") }
		m.allocate()
		if l := read(); l.Lingering[*web] || !b.until().IsZero() {
			t.Error("what was never there lingers")
		}
		m.allocate("10.0.0.1", "web")
		read()
		m.allocate()
		if l := read(); !l.Lingering[*web] || !b.until().Equal(time.Now().Add(amends)) {
			t.Errorf("it does not linger, or not until %v but %v", time.Now().Add(amends), b.until())
		}
		time.Sleep(amends / 2)
		if l := read(); !l.Lingering[*web] {
			t.Error("it does not linger for long")
		}
		time.Sleep(amends / 2)
		for range 2 {
			if l := read(); l.Lingering[*web] || !b.until().IsZero() {
				t.Error("it lingers for ever")
			}
		}
		m.set(func(m *memory) { m.ledger = Ledger{} })
		read()
		m.allocate()
		if l := read(); !l.Lingering[*web] {
			t.Error("what was announced while the ledger was not there does not linger")
		}
		m.allocate("10.0.0.1", "web")
		if l := read(); l.Lingering[*web] || !b.until().IsZero() {
			t.Error("it lingers though it is there")
		}
	})
}

// TestNothingIsAnnouncedThatTheLedgerDoesNotHave, from the store to the orders.
func TestNothingIsAnnouncedThatTheLedgerDoesNotHave(t *testing.T) {
	m := newMemory(configuration())
	m.allocate("10.0.0.1", "web")
	c := newCentre(t, m, nodeNamed("node-a"), service("web", "10.0.0.1"), slice("web"), service("forged", "10.0.0.2"), slice("forged"))
	c.connect(hello("node-a"))
	ordered := func(prefix string) bool {
		d := c.hub.desired.Load()
		return d != nil && d.order("node-a", routingLane) != nil && d.order("node-a", routingLane).items["bgp-route/"+prefix] != nil
	}
	eventually(t, "the route of what is allocated", func() bool { return ordered("10.0.0.1/32") })
	if ordered("10.0.0.2/32") {
		t.Error("what was not allocated is announced")
	}
	eventually(t, "an event that says so", func() bool {
		events, err := c.client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.Reason == "notAllocated" && e.InvolvedObject.Name == "forged" {
				return true
			}
		}
		return false
	})
	m.allocate("10.0.0.1", "forged", "10.0.0.2", "forged")
	eventually(t, "the route of what is allocated now, and no other", func() bool { return ordered("10.0.0.2/32") && !ordered("10.0.0.1/32") })
}
