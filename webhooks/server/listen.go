package server

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/ingot-lb/ingot/speaker/listen"
)

const (
	// connections that are open at once, at most. A kube-apiserver has few, with many requests on each.
	connections = 256
	// farewell is how long requests under way may take when the program ends.
	farewell = 4 * time.Second
)

// serve answers over TLS until ctx ends.
func serve(ctx context.Context, l net.Listener, handler http.Handler, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 3 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate},
		// Whoever hangs up in the middle of TLS would fill the log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
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
