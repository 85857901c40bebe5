package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"k8s.io/apiserver/pkg/server/healthz"
)

// healthCheck lets the aggregated API's own /readyz show a part.
func (p *process) healthCheck(part string) healthz.HealthChecker {
	return healthz.NamedCheck(part, func(*http.Request) error { return p.readiness.check(part) })
}

// askReadyz asks the aggregated API's own /readyz, without a network in between, and names the checks that failed.
func askReadyz(ctx context.Context, handler http.Handler) error {
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/readyz?verbose", nil)
	request.TLS = nil
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	if answer.Code == http.StatusOK {
		return nil
	}
	var failed []string
	for line := range strings.Lines(answer.Body.String()) {
		if name, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ = strings.Cut(name, " failed")
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 {
		return fmt.Errorf("/readyz answers %d", answer.Code)
	}
	return errors.New("waits for " + strings.Join(failed, ", "))
}
