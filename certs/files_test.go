package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/certs/expiry"
)

// conflict is what an update of an old version is answered.
func conflict(clienttesting.Action) (bool, runtime.Object, error) {
	return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), ObjectName, errors.New("it has been modified"))
}

// refusals is the one metric of those of a Collector that counts them.
type refusals struct{ all prometheus.Collector }

// Describe implements prometheus.Collector.
func (r refusals) Describe(ch chan<- *prometheus.Desc) { ch <- expiry.RefusedDesc }

// Collect implements prometheus.Collector.
func (r refusals) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric, 8)
	r.all.Collect(all)
	close(all)
	for m := range all {
		if m.Desc() == expiry.RefusedDesc {
			ch <- m
		}
	}
}

// mounted is a directory like that of a mounted Secret: files are links into a directory that is exchanged as a whole.
type mounted struct {
	t    *testing.T
	dir  string
	turn int
}

func (m *mounted) put(l *leaf, ca *authority) {
	m.t.Helper()
	m.turn++
	data := filepath.Join(m.dir, "..data-"+string(rune('a'+m.turn)))
	check := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	check(os.Mkdir(data, 0o700))
	for name, content := range map[string][]byte{"tls.crt": l.certPEM, "tls.key": l.keyPEM, "ca.crt": ca.certPEM} {
		check(os.WriteFile(filepath.Join(data, name), content, 0o600))
	}
	next := filepath.Join(m.dir, "..data-next")
	check(os.Symlink(filepath.Base(data), next))
	check(os.Rename(next, filepath.Join(m.dir, "..data")))
}

func mount(t *testing.T, l *leaf, ca *authority) (*mounted, FilesOptions) {
	t.Helper()
	m := &mounted{t: t, dir: t.TempDir()}
	m.put(l, ca)
	path := func(name string) string {
		file := filepath.Join(m.dir, name)
		if err := os.Symlink(filepath.Join("..data", name), file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return m, FilesOptions{Cert: path("tls.crt"), Key: path("tls.key"), CA: path("ca.crt"), Name: "apiserver.metallb-system.svc", Every: time.Millisecond}
}

func mustIssue(t *testing.T, ca *authority, now time.Time, name string) *leaf {
	t.Helper()
	l, err := ca.issue(now, time.Hour, []string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustAuthority(t *testing.T, now time.Time) *authority {
	t.Helper()
	ca, err := newAuthority(now, 6*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestFilesAreFollowed: a good certificate is served when it comes, and of a bad one is said what is wrong, once.
func TestFilesAreFollowed(t *testing.T) {
	const name = "apiserver.metallb-system.svc"
	now := time.Now()
	ca, foreign := mustAuthority(t, now.Add(-2*time.Hour)), mustAuthority(t, now)
	m, o := mount(t, mustIssue(t, ca, now, name), ca)
	log := &records{}
	o.Log = log.logger()
	f, err := OpenFiles(o)
	if err != nil {
		t.Fatal(err)
	}
	keepRunning(t, f.Run)
	first := f.current()
	for i, bad := range []struct {
		leaf *leaf
		says string
	}{
		{mustIssue(t, ca, now.Add(-90*time.Minute), name), "it has expired"},
		{mustIssue(t, foreign, now, name), "it is not signed by"},
		{mustIssue(t, ca, now, "web.example.com"), "it is not made out for"},
	} {
		m.put(bad.leaf, ca)
		eventually(t, bad.says, func() bool { return log.count(bad.says) > 0 })
		eventually(t, "one refusal more", func() bool { return testutil.ToFloat64(refusals{f}) >= float64(i+1) })
		if f.current() != first {
			t.Fatalf("%s, and is served", bad.says)
		}
	}
	m.put(mustIssue(t, ca, now, name), ca)
	eventually(t, "the good one", func() bool { return f.current() != first })
	if got := log.count("certificateRefused"); got != 3 {
		t.Errorf("%d refusals are logged, want 3", got)
	}
	if err := handshake(t, f, ca.certPEM, name); err != nil {
		t.Error(err)
	}
}

// TestBadFilesAreRefusedAtTheStart with what is wrong.
func TestBadFilesAreRefusedAtTheStart(t *testing.T) {
	now := time.Now()
	ca := mustAuthority(t, now.Add(-2*time.Hour))
	_, o := mount(t, mustIssue(t, ca, now.Add(-90*time.Minute), "web.example.com"), ca)
	_, err := OpenFiles(o)
	for _, want := range []string{o.Cert, "certificate for web.example.com", "it has expired", `it is not made out for "apiserver.metallb-system.svc"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	o.Key = filepath.Join(t.TempDir(), "missing")
	if _, err := OpenFiles(o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
}

// keepRunning runs something until the end of the test.
func keepRunning(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestIssuedIsFollowed: what the keeper issues is served, also when it is another, and connections that are open stay.
func TestIssuedIsFollowed(t *testing.T) {
	h := newHost()
	o := keeperOptions(h, t.TempDir())
	o.Webhooks = "webhooks"
	k, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	keepRunning(t, k.Run)
	log := &records{}
	i, err := OpenIssued(t.Context(), IssuedOptions{Client: h, Namespace: system, Service: "webhooks", Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	keepRunning(t, i.Run)
	if err := handshake(t, i, k.Bundle(), "webhooks.metallb-system.svc"); err != nil {
		t.Error(err)
	}
	first := i.current()
	secrets := h.CoreV1().Secrets(system)
	if err := secrets.Delete(t.Context(), SecretOf("webhooks"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another certificate", func() bool { return i.current() != first })
	second := i.current()

	theirs := mustAuthority(t, time.Now())
	bad := mustIssue(t, theirs, time.Now(), "webhooks.metallb-system.svc")
	if _, err := secrets.Update(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretOf("webhooks"), Namespace: system,
		Annotations: map[string]string{"cert-manager.io/certificate-name": "w"}},
		Data: map[string][]byte{corev1.TLSCertKey: bad.certPEM, corev1.TLSPrivateKeyKey: bad.keyPEM, BundleKey: k.Bundle()}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal", func() bool { return log.count("it is not signed by") == 1 })
	if got, err := i.GetCertificate(&tls.ClientHelloInfo{}); err != nil || got != second {
		t.Error("the foreign certificate is served")
	}
}
