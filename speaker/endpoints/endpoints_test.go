package endpoints

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

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
	told := func(what string, want answer, before int32) {
		t.Helper()
		await.True(t, what, func() bool { return of(p, port) == want && changes.Load() > before })
	}
	told("endpoints are here", answer{true, true}, 0)
	before := changes.Load()
	status.Store(http.StatusServiceUnavailable)
	told("endpoints are gone", answer{true, false}, before)

	// What is not asked any more is forgotten.
	before = changes.Load()
	p.Watch(nil)
	told("nothing is known", answer{}, before)
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
	port := unserved(t)
	p, changes := run(t)
	other, _, _ := proxy(t)
	p.Watch([]uint32{port, other})
	await.True(t, "the other port answers", func() bool { return of(p, other) == answer{true, true} && changes.Load() > 0 })
	if got := of(p, port); got != (answer{}) {
		t.Errorf("%+v", got)
	}
}

// unserved returns a port of this host that nobody listens on, and nobody else gets while the test lasts.
func unserved(t *testing.T) uint32 {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(name.(*unix.SockaddrInet4).Port)
}
