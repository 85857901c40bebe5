// Package certs keeps the certificate authority of an installation and the serving certificates it signs.
//
// The CA is in the Secret "ingot-ca", which only the replicas of the apiserver read. Each of them signs for itself what it
// shows, and together they keep what others need: the bundle in the ConfigMap "ingot-ca", which speakers mount, and in
// the ValidatingWebhookConfiguration; and the serving certificate of webhooks in a Secret of its own. Every change
// is one update of one object that compares its resourceVersion, so that of several replicas that do the same at a time
// one does it. A copy on the local disk lets a replica start while the kube-apiserver is away.
//
// Files takes certificates that somebody else issues; Issued is for servers that a Keeper issues them.
package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/certs/expiry"
	"github.com/ingot-lb/ingot/certs/inspect"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// ObjectName is the name of both the Secret with the CA and the ConfigMap with its bundle.
	ObjectName = "ingot-ca"
	// BundleKey is the key of the bundle in the ConfigMap, and in every Secret.
	BundleKey = "ca.crt"
)

// Options say where the CA is kept and for what serving certificates are made out.
type Options struct {
	// Client reaches the host cluster.
	Client    kubernetes.Interface
	Namespace string
	// Dir is a local directory for the copy of the CA; made when missing, with mode 0700. Empty: there is no copy.
	Dir string
	// Policy says how long certificates live; zero is DefaultPolicy.
	Policy Policy
	// Names are DNS names of the serving certificate; the first is its common name. ServiceNames helps.
	Names []string
	IPs   []net.IP
	// Webhooks is the Service of those who serve webhooks, whose certificate is issued and whose bundle is injected.
	// Empty: there are none.
	Webhooks string
	// Carried says whether that which others put the bundle into has this one; it may be nil. ErrNotYet is no news.
	Carried func(ctx context.Context, bundle []byte) error
	// Failed, which may be nil, hears why Open is not done yet.
	Failed func(error)
	// Log may be nil.
	Log *slog.Logger

	now func() time.Time // for tests
}

// ErrNotYet says that a bundle is on its way.
var ErrNotYet = errors.New("the new bundle has not arrived yet")

// ServiceNames are the names by which a Service and the machine itself are called.
func ServiceNames(service, namespace string) []string {
	name := service + "." + namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name, "localhost"}
}

// SecretOf is the name of the Secret with the certificate that a Keeper issues for a Service.
func SecretOf(service string) string { return service + "-tls" }

// Keeper has the CA and the current serving certificate. Its methods may be used concurrently.
type Keeper struct {
	Serving
	options Options
	copy    localCopy
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex
	trust *trust
	wrong string // what is wrong with the Secret, which is counted once
}

// Open loads the CA from its Secret, creating it if there is none. When the host cluster cannot be asked, the local
// copy serves; without one, Open keeps trying until ctx ends, because a second CA would lock everyone out.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	if len(o.Names) == 0 {
		return nil, errors.New("certificates need a name")
	}
	if o.Policy == (Policy{}) {
		o.Policy = DefaultPolicy
	}
	if err := o.Policy.Validate(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	k := &Keeper{Serving: Serving{name: "apiserver"}, options: o, copy: localCopy{dir: o.Dir}, log: o.Log, now: o.now}
	local, err := k.copy.read()
	if err != nil {
		k.log.Warn("local copy of the CA is not usable", "event", "caCopyUnusable", "error", err)
	}
	for retry := retries(); ; {
		err := k.begin(ctx, local)
		if err == nil {
			return k, nil
		}
		o.Failed(err)
		k.log.Warn("there is no CA to serve by", "event", "caUnavailable", "error", err)
		if err := retry.Wait(ctx); err != nil {
			return nil, fmt.Errorf("load the CA: %w", err)
		}
	}
}

// begin takes the CA of the Secret, or the local copy where there is one and the Secret cannot be read.
func (k *Keeper) begin(ctx context.Context, local *trust) error {
	stored, err := k.load(ctx, local)
	if err == nil && k.now().After(stored.trust.current.cert.NotAfter) {
		// Nobody can be served by it; one that is, or can be, is made at once.
		s, _ := k.options.Policy.due(k.now(), stored.trust, false)
		stored, err = k.advance(ctx, stored, s)
	}
	if err == nil {
		return k.use(stored.trust)
	}
	if local == nil {
		return err
	}
	k.log.Warn("Secret with the CA cannot be read; going on with the local copy", "event", "caFromCopy", "error", err)
	if used := k.use(local); used != nil {
		return errors.Join(err, fmt.Errorf("local copy: %w", used))
	}
	return nil
}

// use makes t what is trusted and signed by, keeps a copy of it, and signs another leaf where that is time.
func (k *Keeper) use(t *trust) error {
	known := k.known()
	changed := known == nil || !known.equal(t)
	fresh, err := k.freshLeaf(t, k.current() == nil || known == nil || !known.current.equal(t.current))
	if err != nil {
		return err
	}
	if !changed && fresh == nil {
		return nil
	}
	if changed {
		if err := k.copy.write(t); err != nil {
			// Not fatal: what is lost is a start without the kube-apiserver.
			k.log.Warn("no local copy of the CA", "event", "caCopyFailed", "error", err)
		}
		k.mu.Lock()
		k.trust = t
		k.mu.Unlock()
	}
	if fresh != nil {
		k.log.Info("serving by a new certificate", append([]any{"event", "certificateIssued"}, attributes(fresh)...)...)
	}
	k.show(fresh)
	return nil
}

// freshLeaf signs one if it must, or if two thirds of the life of the one that is shown are over.
func (k *Keeper) freshLeaf(t *trust, must bool) (*leaf, error) {
	if !must && k.now().Before(renewal(k.current().Leaf)) {
		return nil, nil
	}
	return t.current.issue(k.now(), k.options.Policy.Leaf, k.options.Names, k.options.IPs)
}

func (k *Keeper) known() *trust {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trust
}

// Bundle returns the PEM certificates by which clients know the servers of this installation.
func (k *Keeper) Bundle() []byte { return k.known().bundle() }

// Collect implements prometheus.Collector: the certificate that is shown, and the CA that signed it.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) {
	k.Serving.Collect(ch)
	ch <- expiry.NotAfter("ca", k.known().current.cert.NotAfter)
}

// retries are spaced alike wherever the host cluster does not answer.
func retries() backoff.Backoff {
	return backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
}

// good says whether an issued certificate need not be issued again.
func (k *Keeper) good(t *trust, certPEM, keyPEM []byte, names []string) bool {
	pair, err := inspect.Pair(certPEM, keyPEM, inspect.Wanted{Name: names[0], Roots: t.current.certPEM, Now: k.now()})
	return err == nil && k.now().Before(renewal(pair.Leaf))
}
