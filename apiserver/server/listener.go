package server

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// errNoFrontProxy is why no connection is taken yet.
var errNoFrontProxy = errors.New("the request-header CA of the host cluster (ConfigMap kube-system/extension-apiserver-authentication) has not been read yet")

// frontProxy is the CA by which the kube-apiserver proves that it is the one who passes a request on.
type frontProxy struct {
	ca dynamiccertificates.CAContentProvider
}

// known says whether the CA has been read.
func (f frontProxy) known() error {
	if _, ok := f.ca.VerifyOptions(); !ok {
		return errNoFrontProxy
	}
	return nil
}

// Name implements healthz.HealthChecker.
func (f frontProxy) Name() string { return "request-header-ca" }

// Check implements healthz.HealthChecker.
func (f frontProxy) Check(*http.Request) error { return f.known() }

// heldListener takes no connection before the front proxy is known. Upstream serves at once and reads the CA meanwhile: for a
// moment after each start everybody who comes through the kube-apiserver is anonymous to it and told that he may not, which
// no client tries again. Here they wait for that moment.
type heldListener struct {
	net.Listener
	front  frontProxy
	closed chan struct{}
	once   sync.Once // closes closed
}

func holdUntilKnown(l net.Listener, front frontProxy) *heldListener {
	return &heldListener{Listener: l, front: front, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *heldListener) Accept() (net.Conn, error) {
	if l.front.known() != nil {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for l.front.known() != nil {
			select {
			case <-l.closed:
				return nil, net.ErrClosed
			case <-tick.C:
			}
		}
	}
	return l.Listener.Accept()
}

// Close implements net.Listener.
func (l *heldListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
