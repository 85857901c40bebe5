package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/test/await"
)

// host is a cluster that can be away.
type host struct {
	*fake.Clientset
	away atomic.Bool
}

func newHost(objects ...runtime.Object) *host {
	h := &host{Clientset: fake.NewClientset(objects...)}
	h.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return h.away.Load(), nil, errors.New("connection refused")
	})
	return h
}

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func keeperOptions(h *host, dir string) Options {
	return Options{
		Client:    h,
		Namespace: "metallb-system",
		Dir:       dir,
		Names:     ServiceNames("apiserver", "metallb-system"),
		IPs:       []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func openKeeper(t *testing.T, h *host, dir string) *Keeper {
	t.Helper()
	k, err := Open(t.Context(), keeperOptions(h, dir))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// run runs k until the end of the test.
func run(t *testing.T, k *Keeper) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestReplicasShareOneCA(t *testing.T) {
	h := newHost()

	first := openKeeper(t, h, t.TempDir())
	second := openKeeper(t, h, t.TempDir())

	if !bytes.Equal(first.Bundle(), second.Bundle()) {
		t.Error("two replicas have two CAs")
	}
	for _, name := range append(ServiceNames("apiserver", "metallb-system"), "127.0.0.1") {
		if err := handshake(t, second, first.Bundle(), name); err != nil {
			t.Errorf("server name %s: %v", name, err)
		}
	}
	if err := handshake(t, second, first.Bundle(), "elsewhere"); err == nil {
		t.Error("the certificate names a host that it should not")
	}
}

// handshake connects over TLS to a server with k's certificate, trusting bundle.
func handshake(t *testing.T, k interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}, bundle []byte, name string) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("bundle holds no certificate")
	}
	near, far := net.Pipe()
	defer near.Close()
	server := tls.Server(far, &tls.Config{GetCertificate: k.GetCertificate})
	go func() {
		_ = server.Handshake() // the client's side tells
		_ = far.Close()
	}()
	return tls.Client(near, &tls.Config{RootCAs: roots, ServerName: name}).Handshake()
}

// TestLosingTheRaceToCreateTakesTheWinnersCA has another replica create the Secret after this one found none.
func TestLosingTheRaceToCreateTakesTheWinnersCA(t *testing.T) {
	winner, err := newAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h := newHost()
	var raced atomic.Bool
	h.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		if raced.Swap(true) {
			return false, nil, nil
		}
		return false, nil, h.Tracker().Add(secretOf(winner))
	})

	k := openKeeper(t, h, t.TempDir())

	if diff := cmp.Diff(string(winner.certPEM), string(k.Bundle())); diff != "" {
		t.Errorf("bundle (-want +got):\n%s", diff)
	}
}

func secretOf(ca *authority) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: "metallb-system"}}
	(&trust{current: ca}).document().into(secret)
	return secret
}

func TestRestartWithoutTheHostUsesTheLocalCopy(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	before := openKeeper(t, h, dir).Bundle()

	h.away.Store(true)
	after := openKeeper(t, h, dir).Bundle()

	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("CA after the restart (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "ca.json"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode of the copy = %o, want 600", mode)
	}
}

func TestWithoutHostAndCopyNoCAIsMade(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	h.away.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()

	_, err := Open(ctx, keeperOptions(h, dir))

	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open = %v, want the context's error", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("local files = %v, %v, want none", files, err)
	}
}

func TestWhatIsPublishedIsKeptRight(t *testing.T) {
	h := newHost()
	k := openKeeper(t, h, t.TempDir())
	run(t, k)
	maps := h.CoreV1().ConfigMaps("metallb-system")
	secrets := h.CoreV1().Secrets("metallb-system")
	right := func() bool {
		m, err := maps.Get(t.Context(), ObjectName, metav1.GetOptions{})
		if err != nil || m.Data[BundleKey] != string(k.Bundle()) {
			return false
		}
		s, err := secrets.Get(t.Context(), ObjectName, metav1.GetOptions{})
		return err == nil && bytes.Equal(s.Data[corev1.TLSCertKey], k.Bundle())
	}
	eventually(t, "first publication", right)

	for _, spoil := range []struct {
		what string
		do   func() error
	}{
		{"ConfigMap overwritten", func() error {
			_, err := maps.Update(t.Context(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: "metallb-system"},
				Data:       map[string]string{BundleKey: "nonsense"},
			}, metav1.UpdateOptions{})
			return err
		}},
		{"ConfigMap deleted", func() error { return maps.Delete(t.Context(), ObjectName, metav1.DeleteOptions{}) }},
		{"Secret deleted", func() error { return secrets.Delete(t.Context(), ObjectName, metav1.DeleteOptions{}) }},
	} {
		if err := spoil.do(); err != nil {
			t.Fatalf("%s: %v", spoil.what, err)
		}
		eventually(t, spoil.what, right)
	}
}

func TestReplacedSecretIsFollowed(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	k := openKeeper(t, h, dir)
	told := make(chan struct{}, 8)
	k.OnChange(func() { told <- struct{}{} })
	run(t, k)
	next, err := newAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := h.CoreV1().Secrets("metallb-system").Update(t.Context(), secretOf(next), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	<-told
	if diff := cmp.Diff(string(next.certPEM), string(k.Bundle())); diff != "" {
		t.Errorf("bundle (-want +got):\n%s", diff)
	}
	if err := handshake(t, k, next.certPEM, "localhost"); err != nil {
		t.Errorf("certificate of the new CA: %v", err)
	}
	if copied, err := (localCopy{dir}).read(); err != nil || !copied.current.equal(next) {
		t.Errorf("local copy is not the new CA: %v", err)
	}
}

func TestServingCertificateIsRenewedAfterTwoThirdsOfItsLife(t *testing.T) {
	c := newClock()
	o := keeperOptions(newHost(), t.TempDir())
	o.now = c.now
	k, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := k.CertKey()

	c.pass(DefaultPolicy.Leaf/3*2 - 3*time.Hour)
	if _, err := k.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if before, _ := k.CertKey(); !bytes.Equal(first, before) {
		t.Error("renewed before two thirds of its life were over")
	}
	c.pass(3 * time.Hour)
	if _, err := k.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if late, _ := k.CertKey(); bytes.Equal(first, late) {
		t.Error("not renewed after two thirds of its life")
	}
	if names := k.current().Leaf.DNSNames; !slices.Contains(names, "apiserver.metallb-system.svc") {
		t.Errorf("names of the renewed certificate = %v", names)
	}
}

// eventually waits for a condition.
var eventually = await.True
