package endpoints

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/ingot-lb/ingot/test/await"
)

// answer is what a poller says of a port.
type answer struct{ known, here bool }

func of(p *Poller, port uint32) answer {
	known, here := p.Here(port)
	return answer{known, here}
}

// proxy stands in for kube-proxy: it answers with a status that can be changed.
func proxy(t *testing.T) (port uint32, status *atomic.Int32, asked *atomic.Int32) {
	t.Helper()
	status, asked = new(atomic.Int32), new(atomic.Int32)
	status.Store(http.StatusOK)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n), status, asked
}

// run runs a poller until the test ends, and counts how often it says that something changed.
func run(t *testing.T) (p *Poller, changes *atomic.Int32) {
	t.Helper()
	changes = new(atomic.Int32)
	p = New(slog.New(slog.DiscardHandler), func() { changes.Add(1) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p, changes
}

func TestThePortSaysWhetherThereAreEndpoints(t *testing.T) {
	port, status, _ := proxy(t)
	p, changes := run(t)
	if got := of(p, port); got != (answer{}) {
		t.Errorf("%+v before anybody was asked", got)
	}

	p.Watch([]uint32{port, port})
	await.True(t, "endpoints are here", func() bool { return of(p, port) == answer{true, true} && changes.Load() == 1 })
	status.Store(http.StatusServiceUnavailable)
	await.True(t, "endpoints are gone", func() bool { return of(p, port) == answer{true, false} && changes.Load() == 2 })

	// What is not asked any more is forgotten.
	p.Watch(nil)
	await.True(t, "nothing is known", func() bool { return of(p, port) == answer{} && changes.Load() == 3 })
}

func TestAnErrorIsNoAnswer(t *testing.T) {
	port, status, asked := proxy(t)
	p, _ := run(t)
	p.Watch([]uint32{port})
	await.True(t, "endpoints are here", func() bool { return of(p, port) == answer{true, true} })

	// Once is no news; again and again, and nothing is known.
	status.Store(http.StatusTeapot)
	before := asked.Load()
	await.True(t, "it was asked again", func() bool { return asked.Load() > before })
	if got := of(p, port); asked.Load() < before+failures-1 && got != (answer{true, true}) {
		t.Errorf("%+v after one failure", got)
	}
	await.True(t, "nothing is known", func() bool { return of(p, port) == answer{} })
}

func TestAPortThatNobodyServesIsNotKnown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint32(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p, changes := run(t)
	other, _, _ := proxy(t)
	p.Watch([]uint32{port, other})
	await.True(t, "the other port answers", func() bool { return of(p, other) == answer{true, true} })
	if got := of(p, port); got != (answer{}) || changes.Load() != 1 {
		t.Errorf("%+v, with %d changes", got, changes.Load())
	}
}
