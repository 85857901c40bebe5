package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	serverName = "apiserver.metallb-system.svc"
	goodToken  = "the-token"
	patience   = 30 * time.Second
)

// authority is a CA and the certificate of the centre that it signed.
type authority struct {
	caFile string
	server tls.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	check(err)
	a := &authority{
		caFile: filepath.Join(t.TempDir(), "ca.crt"),
		server: tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key},
	}
	check(os.WriteFile(a.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600))
	return a
}

// centre is a replica of the centre that says what a test tells it to.
type centre struct {
	ingotv1.UnimplementedDispatchServer
	t       *testing.T
	address string
	server  *grpc.Server
	// streams are the connections made to it, once they have said hello.
	streams chan *conn
}

// conn is one stream as the centre sees it.
type conn struct {
	t     *testing.T
	hello *ingotv1.Hello
	rpc   ingotv1.Dispatch_ConnectServer
	end   chan error
	gone  <-chan struct{}
	said  chan *ingotv1.ConnectRequest
	nonce map[ingotv1.Lane]uint64

	lineage string
	epoch   uint64
}

// startCentre serves on a free port, or on address.
func startCentre(t *testing.T, a *authority, address string) *centre {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &centre{t: t, address: l.Addr().String(), streams: make(chan *conn, 8)}
	c.server = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&a.server)))
	ingotv1.RegisterDispatchServer(c.server, c)
	served := make(chan error, 1)
	go func() { served <- c.server.Serve(l) }()
	t.Cleanup(func() {
		c.server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Connect implements ingotv1.DispatchServer.
func (c *centre) Connect(rpc ingotv1.Dispatch_ConnectServer) error {
	md, _ := metadata.FromIncomingContext(rpc.Context())
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+goodToken {
		return status.Error(codes.Unauthenticated, "the token is not the right one")
	}
	first, err := rpc.Recv()
	if err != nil {
		return err
	}
	s := &conn{
		t: c.t, hello: first.GetHello(), rpc: rpc, end: make(chan error, 1), gone: rpc.Context().Done(),
		said: make(chan *ingotv1.ConnectRequest, 1000), nonce: map[ingotv1.Lane]uint64{},
	}
	go func() {
		defer close(s.said)
		for {
			m, err := rpc.Recv()
			if err != nil {
				return
			}
			s.said <- m
		}
	}()
	c.streams <- s
	select {
	case err := <-s.end:
		return err
	case <-s.gone:
		return rpc.Context().Err()
	}
}

// next waits for a speaker to connect.
func (c *centre) next() *conn {
	c.t.Helper()
	select {
	case s := <-c.streams:
		return s
	case <-time.After(patience):
		c.t.Fatal("no stream")
		return nil
	}
}

func (s *conn) send(m *ingotv1.ConnectResponse) {
	s.t.Helper()
	if err := s.rpc.Send(m); err != nil {
		s.t.Fatal(err)
	}
}

// lead welcomes the speaker as the leader of lineage in epoch.
func (s *conn) lead(lineage string, epoch uint64) *conn {
	s.t.Helper()
	s.lineage, s.epoch = lineage, epoch
	s.welcome(&ingotv1.Welcome{Replica: "replica-1", Lineage: lineage, Epoch: epoch, Leading: true})
	return s
}

func (s *conn) welcome(w *ingotv1.Welcome) {
	s.t.Helper()
	s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Welcome{Welcome: w}})
}

// update sends one and returns its acknowledgement.
func (s *conn) update(u *ingotv1.Update) *ingotv1.Ack {
	s.t.Helper()
	s.nonce[u.GetLane()]++
	if u.GetNonce() == 0 {
		u.Nonce = s.nonce[u.GetLane()]
	}
	if u.GetLineage() == "" {
		u.Lineage = s.lineage
	}
	if u.GetEpoch() == 0 {
		u.Epoch = s.epoch
	}
	s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Update{Update: u}})
	return s.hear("an ack", func(m *ingotv1.ConnectRequest) bool { return m.GetAck() != nil }).GetAck()
}

// full sends the whole state of the routing lane.
func (s *conn) full(items ...*ingotv1.Item) *ingotv1.Ack {
	s.t.Helper()
	return s.update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_ROUTING, FullBegin: true, FullEnd: true, Upserts: items})
}

// hear waits for a message of the speaker that is as wanted, passing over others.
func (s *conn) hear(what string, wanted func(*ingotv1.ConnectRequest) bool) *ingotv1.ConnectRequest {
	s.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m, ok := <-s.said:
			if !ok {
				s.t.Fatalf("the stream ended before %s was heard", what)
			}
			if wanted(m) {
				return m
			}
		case <-limit:
			s.t.Fatalf("%s was not heard", what)
		}
	}
}

// ended waits for the speaker to leave.
func (s *conn) ended() {
	s.t.Helper()
	select {
	case <-s.gone:
	case <-time.After(patience):
		s.t.Fatal("the speaker did not leave")
	}
}
