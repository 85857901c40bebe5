// Package web is the workload of the lab: an HTTP server that stands for a pod and says where it runs and who asked.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Ports are those that Serve listens on, on every address of both families.
var Ports = []string{"80", "8080"}

// Handler answers each request with one line, "node=NAME client=ADDRESS", where the address is the one that the
// connection came from as this server saw it.
func Handler(node string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// What the client does with the answer is its own business: an error here is its hanging up.
		_, _ = fmt.Fprintf(w, "node=%s client=%s\n", node, client)
	})
}

// Serve answers on all Ports until ctx ends, then lets running requests finish for up to two seconds. It returns the
// first error that is not ctx's own.
func Serve(ctx context.Context, node string) error {
	server := &http.Server{Handler: Handler(node), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, len(Ports))
	for _, port := range Ports {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("::", port))
		if err != nil {
			return errors.Join(err, server.Close())
		}
		go func() { failed <- server.Serve(listener) }()
	}
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			return fmt.Errorf("shutting down: %w", err)
		}
		return nil
	}
}
