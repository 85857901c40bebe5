package server

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// lateCA is a CA that is read at some time.
type lateCA struct {
	dynamiccertificates.CAContentProvider
	read atomic.Bool
	// asked counts those who wait for it.
	asked atomic.Int32
}

func (c *lateCA) VerifyOptions() (x509.VerifyOptions, bool) {
	c.asked.Add(1)
	return x509.VerifyOptions{}, c.read.Load()
}

// TestNobodyIsServedBeforeTheFrontProxyIsKnown: whoever comes too early waits, and is served then.
func TestNobodyIsServedBeforeTheFrontProxyIsKnown(t *testing.T) {
	ca := &lateCA{}
	front := frontProxy{ca}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var early atomic.Bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { early.Store(!ca.read.Load()) }))
	server.Listener.Close()
	server.Listener = holdUntilKnown(l, front)
	server.Start()
	defer server.Close()

	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get(server.URL)
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	eventually(t, "the listener waiting for the CA", func() error {
		if ca.asked.Load() < 10 {
			return errors.New("it does not ask")
		}
		return nil
	})
	if err := front.Check(nil); !errors.Is(err, errNoFrontProxy) {
		t.Errorf("/readyz says %v", err)
	}
	ca.read.Store(true)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if early.Load() {
		t.Error("served before the CA was read")
	}
	if err := front.Check(nil); err != nil {
		t.Errorf("/readyz says %v", err)
	}
}

// TestAHeldListenerEnds: a server that never hears of the CA can be stopped.
func TestAHeldListenerEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held := holdUntilKnown(l, frontProxy{&lateCA{}})
	ended := make(chan error, 1)
	go func() {
		_, err := held.Accept()
		ended <- err
	}()
	for range 2 { // the HTTP server closes it more than once; the second time says that it is closed
		if err := held.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

// TestNobodyIsSentAway: a connection is served for as long as its client wants. A proxy in front, which the kube-apiserver
// is, cannot send a write again that was under way when the connection ended.
func TestNobodyIsSentAway(t *testing.T) {
	config := dynamic.ConfigFor(serveAlone(t))
	dials := atomic.Int32{}
	dialer := &net.Dialer{}
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return dialer.DialContext(ctx, network, address)
	}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if err := client.Get().AbsPath("/apis/metallb.io").Do(t.Context()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("5000 requests took %d connections, want one", n)
	}
}
