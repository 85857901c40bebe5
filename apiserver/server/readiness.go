package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// readiness knows what the process still lacks. Each part is represented by a check from the start on, so that
// what has not come up yet is told as well.
type readiness struct {
	parts    []string // in the order in which they come up
	advisory []string // told, but not waited for

	mu     sync.Mutex
	checks map[string]func() error
}

var errStarting = errors.New("not started yet")

func newReadiness(parts, advisory []string) *readiness {
	r := &readiness{parts: parts, advisory: advisory, checks: map[string]func() error{}}
	for _, part := range slices.Concat(parts, advisory) {
		r.set(part, func() error { return errStarting })
	}
	return r
}

// set replaces the check of a part.
func (r *readiness) set(part string, check func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks[part] = check
}

// fail has a part say err, which may be nil, until it is set again.
func (r *readiness) fail(part string, err error) {
	r.set(part, func() error { return err })
}

func (r *readiness) check(part string) error {
	r.mu.Lock()
	check := r.checks[part]
	r.mu.Unlock()
	return check() // not under the lock: it may ask etcd
}

// ready says whether every part is.
func (r *readiness) ready() bool {
	for _, part := range r.parts {
		if r.check(part) != nil {
			return false
		}
	}
	return true
}

// ServeHTTP answers as Kubernetes' /readyz?verbose does, with the reasons.
func (r *readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var text strings.Builder
	failed := false
	for _, part := range r.parts {
		if err := r.check(part); err != nil {
			failed = true
			fmt.Fprintf(&text, "[-]%s failed: %v\n", part, err)
		} else {
			fmt.Fprintf(&text, "[+]%s ok\n", part)
		}
	}
	for _, part := range r.advisory {
		if err := r.check(part); err != nil {
			fmt.Fprintf(&text, "[ ]%s not in place: %v\n", part, err)
		} else {
			fmt.Fprintf(&text, "[+]%s ok\n", part)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if failed {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text.String())) // the prober is gone otherwise
}
