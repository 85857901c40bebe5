package server

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/speaker/listen"
)

const (
	// connections that are open at once, at most. A kube-apiserver has few, with many requests on each.
	connections = 256
	// farewell is how long requests under way may take when the program ends.
	farewell = 4 * time.Second
)

// serve answers over TLS until linger after the end of ctx, or until work ends.
func serve(ctx, work context.Context, l net.Listener, linger time.Duration, handler http.Handler, config *tls.Config) error {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 3 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		TLSConfig: config,
		// Whoever hangs up in the middle of TLS would fill the log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	ended := make(chan struct{})
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	stop := context.AfterFunc(until, func() {
		defer close(ended)
		_ = backoff.Sleep(work, linger) // cut short where there is nothing left to answer from
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if s.Shutdown(last) != nil {
			s.Close()
		}
	})
	err := s.ServeTLS(listen.Fair(l, connections), "", "")
	if !stop() {
		<-ended
	}
	return err
}
