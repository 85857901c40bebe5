package certs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// IssuedOptions say where a certificate is found.
type IssuedOptions struct {
	// Client reaches the host cluster.
	Client    kubernetes.Interface
	Namespace string
	// Service is whose certificate it is; the Secret is SecretOf it.
	Service string
	// Log may be nil.
	Log *slog.Logger
}

// Issued is the certificate in a Secret of its own, which a Keeper keeps there, or cert-manager.
type Issued struct {
	Serving
	options IssuedOptions
	log     *slog.Logger
	said    string // the last thing that was said to be wrong
}

// OpenIssued waits until there is a good certificate.
func OpenIssued(ctx context.Context, o IssuedOptions) (*Issued, error) {
	i := &Issued{Serving: Serving{name: o.Service}, options: o, log: o.Log}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	for retry := retries(); i.current() == nil; {
		i.look(ctx)
		if i.current() != nil {
			break
		}
		if err := retry.Wait(ctx); err != nil {
			return nil, fmt.Errorf("waiting for a serving certificate: %w", err)
		}
	}
	return i, nil
}

// Run shows every good certificate that comes until ctx ends, and returns ctx's error.
func (i *Issued) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	secret := watched{"Secret", SecretOf(i.options.Service), i.options.Client.CoreV1().Secrets(i.options.Namespace).Watch}
	wg.Go(func() { secret.follow(ctx, changed, i.log) })
	every := time.NewTicker(checkInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-every.C:
		}
		i.look(ctx)
	}
}

// look shows what is in the Secret if it is good, and says what is wrong with it, once, if it is not.
func (i *Issued) look(ctx context.Context) {
	fresh, err := i.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		i.said = i.complain(i.log, "secret", i.options.Namespace+"/"+SecretOf(i.options.Service), err, i.said)
	default:
		i.said = ""
		if i.take(fresh) {
			i.log.Info("serving by a new certificate", append([]any{"event", "certificateLoaded"}, attributes(fresh)...)...)
		}
	}
}

func (i *Issued) read(ctx context.Context) (*leaf, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	secret, err := i.options.Client.CoreV1().Secrets(i.options.Namespace).Get(ctx, SecretOf(i.options.Service), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get Secret: %w", err)
	}
	l := &leaf{certPEM: secret.Data[corev1.TLSCertKey], keyPEM: secret.Data[corev1.TLSPrivateKeyKey]}
	l.pair, err = inspect.Pair(l.certPEM, l.keyPEM, inspect.Wanted{
		Name: ServiceNames(i.options.Service, i.options.Namespace)[0], Roots: rootsOf(secret.Data[BundleKey]), Now: time.Now(),
	})
	return l, err
}

// rootsOf is nil where there are none: cert-manager does not always know them.
func rootsOf(bundle []byte) []byte {
	if len(bundle) == 0 {
		return nil
	}
	return bundle
}
