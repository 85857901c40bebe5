package certs

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// checkInterval is how often everything is compared even if nothing is heard to have changed.
const checkInterval = 2 * time.Minute

// Run keeps Secret, ConfigMap, local copy and serving certificate right until ctx ends, and returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	retry, last := retries(), ""
	for {
		err := k.cycle(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err == nil:
			retry.Reset()
			last = ""
		case err.Error() != last:
			last = err.Error()
			k.log.Warn("certificates cannot be kept", "event", "certificatesNotKept", "error", err)
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

// cycle makes everything right and returns when it may no longer be. Watches begin before the comparison, so that
// no change falls between the two.
func (k *Keeper) cycle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkInterval)
	defer cancel()
	if err := k.renew(); err != nil {
		return err
	}
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, ObjectName).String()}
	secrets, err := k.client.CoreV1().Secrets(k.namespace).Watch(ctx, options)
	if err != nil {
		return fmt.Errorf("watch Secret %s: %w", ObjectName, err)
	}
	defer secrets.Stop()
	var published <-chan watch.Event
	if !k.follow {
		maps, err := k.client.CoreV1().ConfigMaps(k.namespace).Watch(ctx, options)
		if err != nil {
			return fmt.Errorf("watch ConfigMap %s: %w", ObjectName, err)
		}
		defer maps.Stop()
		published = maps.ResultChan()
	}
	if err := k.reconcile(ctx); err != nil {
		return err
	}
	for {
		var ev watch.Event
		var open bool
		select {
		case ev, open = <-secrets.ResultChan():
		case ev, open = <-published:
		case <-ctx.Done():
			return nil
		}
		if !open || !k.asShouldBe(ev) {
			return nil
		}
	}
}

// renew replaces a serving certificate that nears its end. It needs nobody.
func (k *Keeper) renew() error {
	ca, leaf := k.current()
	if !leaf.stale(k.now()) {
		return nil
	}
	return k.use(ca)
}

func (k *Keeper) reconcile(ctx context.Context) error {
	known, _ := k.current()
	ca, err := k.loadOrCreate(ctx, known)
	if err != nil {
		return err
	}
	if !ca.equal(known) {
		k.log.Warn("the Secret holds another CA, which is used from now on", "event", "caReplaced", "subject", ca.cert.Subject.String())
		if err := k.use(ca); err != nil {
			return err
		}
	}
	return k.publish(ctx, string(ca.certPEM))
}

func (k *Keeper) asShouldBe(ev watch.Event) bool {
	if ev.Type != watch.Added && ev.Type != watch.Modified {
		return false
	}
	bundle := k.Bundle()
	switch o := ev.Object.(type) {
	case *corev1.Secret:
		return bytes.Equal(o.Data[corev1.TLSCertKey], bundle)
	case *corev1.ConfigMap:
		return o.Data[BundleKey] == string(bundle)
	}
	return false
}
