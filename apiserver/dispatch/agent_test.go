package dispatch

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/agent"
)

// announcer stands for BGP or ARP: it applies whatever it is told, and counts what changes.
type announcer struct {
	changed chan struct{}

	mu      sync.Mutex
	items   map[string]string // id → digest
	touched int               // items added, replaced or dropped so far
}

func newAnnouncer() *announcer {
	return &announcer{changed: make(chan struct{}), items: map[string]string{}}
}

func (a *announcer) Apply(_ context.Context, items []*ingotv1.Item, _ bool) []*ingotv1.ItemResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.items
	a.items = map[string]string{}
	var results []*ingotv1.ItemResult
	for _, item := range items {
		a.items[item.GetId()] = item.GetDigest()
		if before[item.GetId()] != item.GetDigest() {
			a.touched++
		}
		results = append(results, &ingotv1.ItemResult{Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED})
	}
	for id := range before {
		if _, stays := a.items[id]; !stays {
			a.touched++
		}
	}
	return results
}

func (a *announcer) Changed() <-chan struct{} { return a.changed }
func (a *announcer) Report(*ingotv1.Report)   {}
func (a *announcer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (a *announcer) state() (ids string, touched int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(a.items)), " "), a.touched
}

// speaker is a node's real agent, with announcers of the test.
type speaker struct{ routing, layer2 *announcer }

func startSpeaker(t *testing.T, node, address string) *speaker {
	t.Helper()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certify().Certificate[0]})
	for file, data := range map[string][]byte{ca: certificate, token: []byte("token of " + node)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &speaker{newAnnouncer(), newAnnouncer()}
	a, err := agent.New(agent.Options{
		Node: node, Version: "test", BootID: "boot", StateDir: dir, Endpoints: []string{address},
		CAFile: ca, ServerName: "apiserver", TokenFile: token, Log: slog.New(slog.DiscardHandler),
		Announcers: map[ingotv1.Lane]agent.Announcer{routing: s.routing, layer2Lane: s.layer2},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	return s
}

func (s *speaker) expect(t *testing.T, routes, addresses string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q and %q announced", routes, addresses), func() bool {
		r, _ := s.routing.state()
		a, _ := s.layer2.state()
		return r == routes && a == addresses
	})
}

// many are n Services of each pool, with endpoints.
func many(n int) (objects []runtime.Object) {
	for i := range n {
		for pool, subnet := range map[string]string{"bgp": "10.0.0", "l2": "10.0.1"} {
			name := fmt.Sprintf("%s-%d", pool, i)
			objects = append(objects, service(name, fmt.Sprintf("%s.%d", subnet, i+1)), slice(name))
		}
	}
	return objects
}

func TestRealSpeakerOutlivesTheCentreAndRefusesAForeignOne(t *testing.T) {
	t.Parallel()
	store := newMemory(configuration())
	cluster := append(many(12), nodeNamed("node1"))
	first := newCentre(t, store, cluster...)
	s := startSpeaker(t, "node1", first.address)
	full := func() bool {
		r, _ := s.routing.state()
		a, _ := s.layer2.state()
		return strings.Count(r, "bgp-route/") == 12 && strings.Count(a, "layer2/") == 12
	}
	eventually(t, "everything announced", full)
	_, routes := s.routing.state()
	_, addresses := s.layer2.state()
	untouched := func(when string) {
		t.Helper()
		_, r := s.routing.state()
		_, a := s.layer2.state()
		if r != routes || a != addresses || !full() {
			t.Errorf("%s, %d routes and sessions and %d addresses were touched", when, r-routes, a-addresses)
		}
	}
	obeyed := func(c *centre, epoch uint64) func() bool {
		return func() bool {
			all := c.hub.Nodes()
			return len(all) == 1 && all[0].Connected && all[0].Epoch == epoch && len(all[0].Refusals) == 0
		}
	}

	// The centre restarts: it leads again, and nothing moves.
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	store.changed <- struct{}{}
	store.may <- struct{}{}
	second := newCentreAt(t, first.address, store, cluster...)
	eventually(t, "the second leadership obeyed", obeyed(second, 2))
	untouched("over a restart")

	// Its store is lost: the new one is empty, and not obeyed.
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	empty := newMemory(&metallb.Configuration{})
	empty.lineage, empty.epoch = "another", 0
	third := newCentreAt(t, first.address, empty, cluster...)
	eventually(t, "both lanes refused", func() bool {
		all := third.hub.Nodes()
		return len(all) == 1 && len(all[0].Refusals) == 2 && all[0].Lineage == "ours" &&
			all[0].Refusals[routing].Kind == ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE
	})
	untouched("by an empty store")

	// An operator says the word.
	superseded, err := third.hub.Adopt(t.Context(), nil)
	if err != nil || len(superseded) != 1 || superseded[0] != "ours" {
		t.Fatalf("adopt: %v, %v", superseded, err)
	}
	s.expect(t, "", "")
	eventually(t, "the new store obeyed", func() bool {
		all := third.hub.Nodes()
		return len(all[0].Refusals) == 0 && all[0].Lineage == "another"
	})
}

func TestRealSpeakerHoldsBackWhatNothingExplains(t *testing.T) {
	t.Parallel()
	store := newMemory(configuration())
	cluster := append(many(12), nodeNamed("node1"))
	first := newCentre(t, store, cluster...)
	s := startSpeaker(t, "node1", first.address)
	eventually(t, "everything announced", func() bool {
		r, _ := s.routing.state()
		return strings.Count(r, "bgp-route/") == 12
	})
	all, _ := s.routing.state()

	// The centre comes back to a cluster that has lost its Services, which nobody saw being deleted.
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	store.changed <- struct{}{}
	store.may <- struct{}{}
	second := newCentreAt(t, first.address, store, nodeNamed("node1"))
	eventually(t, "held back", func() bool {
		all := second.hub.Nodes()
		return len(all) == 1 && all[0].Refusals[routing].Kind == ingotv1.Refusal_REFUSAL_HELD_BACK
	})
	if now, _ := s.routing.state(); now != all {
		t.Errorf("announced now: %s", now)
	}

	if _, err := second.hub.Adopt(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "bgp-guard bgp-session/tor", "")
}

func TestRealSpeakerLetsGoOfWhatIsDeleted(t *testing.T) {
	t.Parallel()
	c := newCentre(t, newMemory(configuration()), append(many(15), nodeNamed("node1"))...)
	s := startSpeaker(t, "node1", c.address)
	eventually(t, "everything announced", func() bool {
		r, _ := s.routing.state()
		a, _ := s.layer2.state()
		return strings.Count(r, "bgp-route/") == 15 && strings.Count(a, "layer2/") == 15
	})
	for i := range 15 {
		c.delete(fmt.Sprintf("bgp-%d", i))
		c.delete(fmt.Sprintf("l2-%d", i))
	}
	s.expect(t, "bgp-guard bgp-session/tor", "")
	c.store.set(func(m *memory) {
		if len(m.decisions) != 0 {
			t.Errorf("decisions left: %v", m.decisions)
		}
	})
}
