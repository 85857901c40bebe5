package server

import (
	"context"
	"net"
	"net/http"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/conditions/writer"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/certs/handshake"
)

// serveAlone runs the aggregated API on an embedded etcd without a host cluster: only its own loopback client, which
// is returned, is let in.
func serveAlone(t testing.TB) *rest.Config {
	t.Helper()
	client, _ := serveStore(t, store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true})
	return client
}

// serveStore does so on a store, which is returned too.
func serveStore(t testing.TB, where store.Options, sets ...*live.Set) (*rest.Config, *store.Store) {
	t.Helper()
	client, s, _ := serveObjects(t, where, sets...)
	return client, s
}

// serveObjects returns also what conditions are written to.
func serveObjects(t testing.TB, where store.Options, sets ...*live.Set) (*rest.Config, *store.Store, writer.Objects) {
	t.Helper()
	return serveConfigured(t, where, handshake.Limits{}, sets...)
}

// serveConfigured limits what TLS agrees to.
func serveConfigured(t testing.TB, where store.Options, limits handshake.Limits, sets ...*live.Set) (*rest.Config, *store.Store, writer.Objects) {
	t.Helper()
	return serveJudged(t, rules.NewJudge(nil), where, limits, sets...)
}

// serveJudged goes by the rules of a judge.
func serveJudged(t testing.TB, judge *rules.Judge, where store.Options, limits handshake.Limits, sets ...*live.Set) (*rest.Config, *store.Store, writer.Objects) {
	t.Helper()
	where.Scheme, where.Codec, where.StorageVersion = install.Scheme, install.StorageCodec(), install.StorageVersion(install.Scheme)
	where.Check = lawOf(judge)
	s, err := store.Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := certutil.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := dynamiccertificates.NewStaticCertKeyContent("test", certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	config := &Config{Store: s, Judge: judge, Live: sets, Namespace: namespace, Listener: l, Cert: cert, Limits: limits, Host: func(_ context.Context, c *genericserver.RecommendedConfig) error {
		c.Authentication.Authenticator = authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
			return nil, false, nil
		})
		c.Authorization.Authorizer = authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
		return nil
	}}
	completed, err := config.Complete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server, objects, err := completed.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.PrepareRun().RunWithContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	client := rest.CopyConfig(server.LoopbackClientConfig)
	client.QPS = -1
	client.ContentType = "application/json" // as kubectl; the loopback's own default is protocol buffers
	eventually(t, "/readyz", func() error {
		rc, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(client))
		if err != nil {
			return err
		}
		return rc.Get().AbsPath("/readyz").Do(t.Context()).Error()
	})
	return client, s, objects
}
