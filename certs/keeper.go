// Package certs keeps the certificate authority of an installation and the serving certificates it signs.
//
// The CA is in the Secret "ingot-ca", which all replicas share; its bundle is published in the ConfigMap
// "ingot-ca" for speakers to mount and for APIServices to carry. A copy on the local disk lets a replica start
// while the kube-apiserver is away.
package certs

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// ObjectName is the name of both the Secret with the CA and the ConfigMap with its bundle.
	ObjectName = "ingot-ca"
	// BundleKey is the key of the bundle in the ConfigMap.
	BundleKey = "ca.crt"
)

// Options say where the CA is kept and for what serving certificates are made out.
type Options struct {
	// Client reaches the host cluster.
	Client    kubernetes.Interface
	Namespace string
	// Dir is a local directory for the copy of the CA; made when missing, with mode 0700. Empty: there is no copy.
	Dir string
	// Follow is set for those who take the CA as others made it: they wait for its Secret and publish nothing.
	Follow bool
	// Names are DNS names of the serving certificate; the first is its common name. ServiceNames helps.
	Names []string
	IPs   []net.IP
	// Failed, which may be nil, hears why Open is not done yet.
	Failed func(error)
	// Log may be nil.
	Log *slog.Logger
}

// ServiceNames are the names by which a Service and the machine itself are called.
func ServiceNames(service, namespace string) []string {
	name := service + "." + namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name, "localhost"}
}

// Keeper has the CA and the current serving certificate. Its methods may be used concurrently.
type Keeper struct {
	client    kubernetes.Interface
	namespace string
	copy      localCopy
	follow    bool
	names     []string
	ips       []net.IP
	log       *slog.Logger
	now       func() time.Time

	mu       sync.Mutex
	ca       *authority
	leaf     *leaf
	onChange []func()
}

// Open loads the CA from its Secret, creating it if there is none (unless it is to Follow). When the host cluster cannot be asked, the local
// copy serves; without one, Open keeps trying until ctx ends, because a second CA would lock everyone out.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	if len(o.Names) == 0 {
		return nil, errors.New("certificates need a name")
	}
	k := &Keeper{
		client:    o.Client,
		namespace: o.Namespace,
		copy:      localCopy{dir: o.Dir},
		follow:    o.Follow,
		names:     o.Names,
		ips:       o.IPs,
		log:       o.Log,
		now:       time.Now,
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	failed := o.Failed
	if failed == nil {
		failed = func(error) {}
	}
	ca, err := k.firstAuthority(ctx, failed)
	if err != nil {
		return nil, err
	}
	if err := k.use(ca); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keeper) firstAuthority(ctx context.Context, failed func(error)) (*authority, error) {
	local, err := k.copy.read()
	if err != nil {
		k.log.Warn("local copy of the CA is not usable", "event", "caCopyUnusable", "error", err)
	}
	for retry := retries(); ; {
		ca, err := k.loadOrCreate(ctx, local)
		if err == nil {
			return ca, nil
		}
		if local != nil {
			k.log.Warn("Secret with the CA cannot be read; going on with the local copy", "event", "caFromCopy", "error", err)
			return local, nil
		}
		failed(err)
		k.log.Warn("Secret with the CA cannot be read", "event", "caUnavailable", "error", err)
		if err := retry.Wait(ctx); err != nil {
			return nil, fmt.Errorf("load the CA: %w", err)
		}
	}
}

// use makes ca the one that signs, keeps a copy of it, and signs a new leaf.
func (k *Keeper) use(ca *authority) error {
	leaf, err := ca.issue(k.now(), k.names, k.ips)
	if err != nil {
		return err
	}
	if err := k.copy.write(ca); err != nil {
		// Not fatal: what is lost is a start without the kube-apiserver.
		k.log.Warn("no local copy of the CA", "event", "caCopyFailed", "error", err)
	}
	k.mu.Lock()
	k.ca, k.leaf = ca, leaf
	notify := slices.Clone(k.onChange)
	k.mu.Unlock()
	for _, f := range notify {
		f()
	}
	return nil
}

// Bundle returns the PEM certificates by which clients know the servers of this installation.
func (k *Keeper) Bundle() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ca.certPEM)
}

// CertKey returns the current serving certificate with its chain, and its key, in PEM.
func (k *Keeper) CertKey() (cert, key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leaf.certPEM, k.leaf.keyPEM
}

// GetCertificate is for tls.Config: new connections see a new certificate at once.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &k.leaf.pair, nil
}

// OnChange has f called, quickly please, after the certificate or the bundle changed.
func (k *Keeper) OnChange(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onChange = append(k.onChange, f)
}

func (k *Keeper) current() (*authority, *leaf) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ca, k.leaf
}

// retries are spaced alike wherever the host cluster does not answer.
func retries() backoff.Backoff {
	return backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
}

// Derive returns a key of 32 bytes for the named purpose, the same on every replica and after every restart as
// long as the CA is the same. It is made from the CA's key and tells nothing about it.
func (k *Keeper) Derive(purpose string) ([]byte, error) {
	ca, _ := k.current()
	secret, err := hkdf.Key(sha256.New, ca.keyPEM, nil, "ingot "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key for %s: %w", purpose, err)
	}
	return secret, nil
}
