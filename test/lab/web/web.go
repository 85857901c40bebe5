// Package web is the workload of the lab: an HTTP server that stands for a pod and says where it runs and who asked, and
// a UDP echo (RFC 862) beside it.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Ports are those that Serve listens on, on every address of both families.
var Ports = []string{"80", "8080"}

// EchoPort is the UDP port on which every datagram is sent back.
const EchoPort = 7

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

// Serve answers on all Ports and on EchoPort until ctx ends, then lets running requests finish for up to two seconds. It returns the
// first error that is not ctx's own.
func Serve(ctx context.Context, node string) error {
	server := &http.Server{Handler: Handler(node), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, len(Ports)+1)
	datagrams, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", net.JoinHostPort("::", strconv.Itoa(EchoPort)))
	if err != nil {
		return err
	}
	defer datagrams.Close()
	go func() { failed <- Echo(datagrams) }()
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

// Echo sends every datagram back until the socket is closed.
func Echo(c net.PacketConn) error {
	buffer := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(buffer)
		if err == nil {
			_, err = c.WriteTo(buffer[:n], from)
		}
		// That a client is not there any more, as ICMP says, concerns nobody else.
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
	}
}
