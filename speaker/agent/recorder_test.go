package agent

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/await"
)

// recorder is an Announcer that notes what it is asked for.
type recorder struct {
	changed chan struct{}
	applies chan struct{}

	mu       sync.Mutex
	items    []string // ID@DIGEST, a + for restored
	sessions []*ingotv1.SessionReport
	results  []*ingotv1.ItemResult
	// verdict decides on an item; nil: applied.
	verdict func(*ingotv1.Item) (ingotv1.ItemResult_Status, string)
}

func newRecorder() *recorder {
	return &recorder{changed: make(chan struct{}, 1), applies: make(chan struct{}, 100)}
}

func (r *recorder) Apply(_ context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = []string{}
	var results []*ingotv1.ItemResult
	for _, i := range items {
		name := i.GetId() + "@" + i.GetDigest()
		if restored {
			name += "+"
		}
		r.items = append(r.items, name)
		result := &ingotv1.ItemResult{Id: i.GetId(), Digest: i.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED}
		if r.verdict != nil {
			result.Status, result.Reason = r.verdict(i)
		}
		results = append(results, result)
	}
	r.applies <- struct{}{}
	return results
}

func (r *recorder) Changed() <-chan struct{} { return r.changed }

func (r *recorder) Report(report *ingotv1.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Sessions = append(report.Sessions, r.sessions...)
	report.Results = append(report.Results, r.results...)
	r.results = nil
}

func (r *recorder) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// observe changes what the announcer sees, and says so.
func (r *recorder) observe(sessions []*ingotv1.SessionReport, results ...*ingotv1.ItemResult) {
	r.mu.Lock()
	r.sessions, r.results = sessions, append(r.results, results...)
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) holds(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, r.items...)); diff != "" {
		t.Fatalf("announced (-want +got):\n%s", diff)
	}
}

// syncBuffer is a log that tests may read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), s)
}

// rig is an agent under test with what it talks to.
type rig struct {
	t        *testing.T
	opts     Options
	routes   *recorder
	layer2   *listener // nil: the lane has no announcer
	log      *syncBuffer
	registry *prometheus.Registry
	agent    *Agent
	stop     func()
}

func newRig(t *testing.T, a *authority, endpoints ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(goodToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, log: &syncBuffer{}, opts: Options{
		Node: "node1", Version: "v1", BootID: "boot1", StateDir: filepath.Join(dir, "state"),
		Endpoints: endpoints, CAFile: a.caFile, ServerName: serverName, TokenFile: token,
		timing: timing{
			firstDelay: 5 * time.Millisecond, maxDelay: 50 * time.Millisecond, slowDelay: 50 * time.Millisecond,
			coalesce: 5 * time.Millisecond, resolveEvery: 20 * time.Millisecond, resolveSoon: 5 * time.Millisecond,
		},
	}}
}

// start runs a new process of the speaker; stop ends it.
func (r *rig) start() *rig {
	r.t.Helper()
	r.routes = newRecorder()
	r.registry = prometheus.NewRegistry()
	opts := r.opts
	opts.Log = slog.New(slog.NewJSONHandler(r.log, nil))
	opts.Registerer = r.registry
	opts.Announcers = map[ingotv1.Lane]Announcer{ingotv1.Lane_LANE_ROUTING: r.routes}
	if r.layer2 != nil {
		opts.Announcers[ingotv1.Lane_LANE_LAYER2] = r.layer2
	}
	agent, err := New(opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.agent = agent
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					r.t.Errorf("Run: %v", err)
				}
			case <-time.After(patience):
				r.t.Error("Run does not end")
			}
		})
	}
	r.t.Cleanup(r.stop)
	return r
}

// eventually waits for a condition.
var eventually = await.True

func route(id, digest string, services ...string) *ingotv1.Item {
	r := &ingotv1.BgpRoute{Prefix: id}
	for _, s := range services {
		r.Services = append(r.Services, &ingotv1.ServiceRef{Namespace: "default", Name: s})
	}
	return &ingotv1.Item{Id: id, Digest: digest, Content: &ingotv1.Item_BgpRoute{BgpRoute: r}}
}
