package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// WebhookConfiguration is the name of the ValidatingWebhookConfiguration that is shipped.
const WebhookConfiguration = "ingot-webhooks"

// publish has everybody told of the bundle of t, and issues by its CA. ErrNotYet says that only others have yet to do
// their part. Trust comes before what is to be trusted.
func (k *Keeper) publish(ctx context.Context, t *trust) error {
	bundle := t.bundle()
	if err := k.bounded(ctx, func(ctx context.Context) error { return k.publishMap(ctx, string(bundle)) }); err != nil {
		return err
	}
	if k.options.Webhooks != "" {
		if err := k.bounded(ctx, func(ctx context.Context) error { return k.inject(ctx, bundle) }); err != nil {
			return err
		}
		if err := k.bounded(ctx, func(ctx context.Context) error { return k.issueFor(ctx, k.options.Webhooks, t) }); err != nil {
			return err
		}
	}
	if k.options.Carried == nil {
		return nil
	}
	return k.bounded(ctx, func(ctx context.Context) error { return k.options.Carried(ctx, bundle) })
}

// bounded calls f with little time. That another replica was faster is no error: there is nothing left to do, which the
// next look at it tells.
func (k *Keeper) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := f(ctx)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ErrNotYet
	}
	return err
}

// publishMap makes the ConfigMap carry the bundle.
func (k *Keeper) publishMap(ctx context.Context, bundle string) error {
	maps := k.options.Client.CoreV1().ConfigMaps(k.options.Namespace)
	found, err := maps.Get(ctx, ObjectName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: k.options.Namespace, Labels: labels()},
			Data:       map[string]string{BundleKey: bundle},
		}, metav1.CreateOptions{})
	case err == nil && found.Data[BundleKey] != bundle:
		found = found.DeepCopy()
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[BundleKey] = bundle
		_, err = maps.Update(ctx, found, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("publish the CA in ConfigMap %s/%s: %w", k.options.Namespace, ObjectName, err)
	}
	return nil
}

// issueFor keeps a good certificate, and the bundle, in the Secret of a Service.
func (k *Keeper) issueFor(ctx context.Context, service string, t *trust) error {
	name, names := SecretOf(service), ServiceNames(service, k.options.Namespace)
	secrets := k.options.Client.CoreV1().Secrets(k.options.Namespace)
	found, err := secrets.Get(ctx, name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("get Secret %s/%s: %w", k.options.Namespace, name, err)
	}
	if missing {
		found = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: k.options.Namespace, Labels: labels()}, Type: corev1.SecretTypeTLS,
		}
	}
	if Elsewhere(found) != "" {
		return nil
	}
	good := k.good(t, found.Data[corev1.TLSCertKey], found.Data[corev1.TLSPrivateKeyKey], names)
	if good && bytes.Equal(found.Data[BundleKey], t.bundle()) {
		return nil
	}
	secret := found.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[BundleKey] = t.bundle()
	if !good {
		fresh, err := t.current.issue(k.now(), k.options.Policy.Leaf, names, nil)
		if err != nil {
			return err
		}
		secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey] = fresh.certPEM, fresh.keyPEM
		k.log.Info("issuing a certificate", append([]any{"event", "certificateIssued", "secret", k.options.Namespace + "/" + name}, attributes(fresh)...)...)
	}
	if missing {
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", k.options.Namespace, name, err)
	}
	return nil
}

// correction is what a webhook of the configuration should say, in a strategic merge patch, which finds it by name.
type correction struct {
	Name         string  `json:"name"`
	ClientConfig bundled `json:"clientConfig"`
}

type bundled struct {
	CABundle []byte `json:"caBundle"`
}

// inject puts the bundle into the webhooks that call ours, where the configuration asks for it. Where there is no such
// object nobody wants to be asked.
func (k *Keeper) inject(ctx context.Context, bundle []byte) error {
	configurations := k.options.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	found, err := configurations.Get(ctx, WebhookConfiguration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ValidatingWebhookConfiguration %s: %w", WebhookConfiguration, err)
	}
	wrong := k.corrections(found, bundle)
	if len(wrong) == 0 {
		return nil
	}
	patch := struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Webhooks []correction `json:"webhooks"`
	}{Webhooks: wrong}
	patch.Metadata.ResourceVersion = found.ResourceVersion
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode the bundle: %w", err)
	}
	if _, err := configurations.Patch(ctx, WebhookConfiguration, types.StrategicMergePatchType, body, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("patch ValidatingWebhookConfiguration %s: %w", WebhookConfiguration, err)
	}
	k.log.Info("the kube-apiserver is told how to know webhooks", "event", "bundleInjected", "webhooks", len(wrong))
	return nil
}

func (k *Keeper) corrections(found *admissionv1.ValidatingWebhookConfiguration, bundle []byte) (wrong []correction) {
	if !asks(found) {
		return nil
	}
	for _, w := range found.Webhooks {
		to := w.ClientConfig.Service
		if to != nil && to.Name == k.options.Webhooks && to.Namespace == k.options.Namespace && !bytes.Equal(w.ClientConfig.CABundle, bundle) {
			wrong = append(wrong, correction{w.Name, bundled{bundle}})
		}
	}
	return wrong
}
