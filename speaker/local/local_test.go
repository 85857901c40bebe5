package local

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/await"
)

// fakeNext takes everything.
type fakeNext struct {
	has      []string
	applied  int
	restored bool
	changed  chan struct{}
}

func (n *fakeNext) Apply(_ context.Context, items []*ingotv1.Item, restored bool) (results []*ingotv1.ItemResult) {
	n.has, n.restored = nil, restored
	n.applied++
	for _, item := range items {
		n.has = append(n.has, item.GetId())
		results = append(results, &ingotv1.ItemResult{Id: item.GetId(), Status: ingotv1.ItemResult_STATUS_APPLIED})
	}
	return results
}

func (n *fakeNext) Changed() <-chan struct{}  { return n.changed }
func (n *fakeNext) Report(*ingotv1.Report)    {}
func (n *fakeNext) Explain(map[string]string) {}
func (n *fakeNext) Refresh()                  {}
func (n *fakeNext) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// fakeHealth knows whether there are endpoints, by port.
type fakeHealth struct {
	watched []uint32
	here    map[uint32]bool
}

func (h *fakeHealth) Watch(ports []uint32) { h.watched = ports }
func (h *fakeHealth) Here(port uint32) (known, here bool) {
	here, known = h.here[port]
	return known, here
}
func (h *fakeHealth) Run(ctx context.Context) { <-ctx.Done() }

func route(id string, ports ...uint32) *ingotv1.Item {
	r := &ingotv1.BgpRoute{Prefix: id, Advertisements: []*ingotv1.BgpAdvertisement{{Peers: []string{"tor2"}}, {Peers: []string{"tor1"}}}}
	for _, p := range ports {
		r.Services = append(r.Services, &ingotv1.ServiceRef{HealthCheckNodePort: p})
	}
	return &ingotv1.Item{Id: id, Digest: "d" + id, Content: &ingotv1.Item_BgpRoute{BgpRoute: r}}
}

func results(rs []*ingotv1.ItemResult) (lines []string) {
	for _, r := range rs {
		lines = append(lines, strings.TrimSpace(r.GetId()+" "+strings.TrimPrefix(r.GetStatus().String(), "STATUS_")+" "+r.GetReason()))
	}
	slices.Sort(lines)
	return lines
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func newRig() (*Follower, *fakeNext, *fakeHealth) {
	next, h := &fakeNext{changed: make(chan struct{}, 1)}, &fakeHealth{here: map[uint32]bool{}}
	f := New(next, slog.New(slog.DiscardHandler))
	f.health = h
	return f, next, h
}

func TestRoutesFollowTheNodesEndpointsWhileTheCentreIsAway(t *testing.T) {
	f, next, h := newRig()
	ctx := t.Context()
	all := []*ingotv1.Item{{Id: "session"}, route("cluster", 0), route("local", 1), route("mixed", 2, 0), route("two", 1, 2)}
	everything := []string{"session", "cluster", "local", "mixed", "two"}
	f.Apply(ctx, all, true)
	equal(t, "restored", next.restored, true)
	now := time.Hour
	f.heard.Store(int64(now))

	// With the centre it is the centre that decides.
	h.here = map[uint32]bool{1: false, 2: false}
	f.follow(ctx, now+away)
	equal(t, "with the centre", next.has, everything)
	equal(t, "asked", len(h.watched), 0)

	// What is not known is no reason.
	h.here = map[uint32]bool{}
	f.follow(ctx, now+away+1)
	equal(t, "asked", h.watched, []uint32{1, 1, 2})
	equal(t, "nothing known", next.applied, 1)

	h.here = map[uint32]bool{1: false, 2: true}
	f.follow(ctx, now+away+2)
	equal(t, "without an endpoint", next.has, []string{"session", "cluster", "mixed", "two"})
	<-f.Changed()
	var r ingotv1.Report
	f.Report(&r)
	equal(t, "reported", results(r.GetResults()), []string{
		"cluster APPLIED", "local PENDING peer tor1: " + withheld + "; peer tor2: " + withheld, "mixed APPLIED", "session APPLIED", "two APPLIED",
	})
	h.here[2] = false
	f.follow(ctx, now+away+3)
	equal(t, "without any endpoint", next.has, []string{"session", "cluster", "mixed"})
	f.follow(ctx, now+away+4)
	equal(t, "applied as often as something changed", next.applied, 3)

	// An update that comes now hides them, too.
	equal(t, "updated", results(f.Apply(ctx, all[:3], false)), []string{
		"cluster APPLIED", "local PENDING peer tor1: " + withheld + "; peer tor2: " + withheld, "session APPLIED",
	})
	h.here[1] = true
	f.follow(ctx, now+away+5)
	equal(t, "with an endpoint", next.has, everything[:3])

	h.here[1] = false
	f.follow(ctx, now+away+6)
	equal(t, "without an endpoint", next.has, []string{"session", "cluster"})
	f.Centre(now + 2*away)
	f.Centre(now + away) // older
	f.follow(ctx, now+3*away)
	equal(t, "with the centre", next.has, everything[:3])
	equal(t, "asked", len(h.watched), 0)
}

func TestAFollowerLooksByItself(t *testing.T) {
	f, next, h := newRig()
	h.here[1] = false
	f.Apply(t.Context(), []*ingotv1.Item{route("local", 1)}, true)
	f.heard.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	next.changed <- struct{}{}
	has := func(n int) func() bool {
		return func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(next.has) == n
		}
	}
	await.True(t, "the route is withdrawn", has(0))
	<-f.Changed()
	f.Centre(time.Duration(1 << 62))
	await.True(t, "the route is back", has(1))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
