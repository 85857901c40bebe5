package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// requestTimeout bounds one request to the host cluster. It is short, since a start may hang on it.
const requestTimeout = 3 * time.Second

// labels are on what this package creates, as on everything of an installation.
func labels() map[string]string {
	return map[string]string{"app": "metallb", "component": "apiserver", "app.kubernetes.io/component": "apiserver"}
}

// loadOrCreate returns the CA in the Secret. When there is no Secret, it creates one, with the CA known if there is
// one (whose Secret was deleted), or a new one; of several replicas that do so at a time, the first wins.
func (k *Keeper) loadOrCreate(ctx context.Context, known *authority) (*authority, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	secrets := k.client.CoreV1().Secrets(k.namespace)
	for range 3 { // it may be created and deleted by others in between
		secret, err := secrets.Get(ctx, ObjectName, metav1.GetOptions{})
		if err == nil {
			ca, err := parseAuthority(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
			if err != nil {
				return nil, fmt.Errorf("parse Secret %s/%s: %w", k.namespace, ObjectName, err)
			}
			return ca, nil
		}
		if k.follow || !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get Secret %s/%s: %w", k.namespace, ObjectName, err)
		}
		ca := known
		if ca == nil {
			if ca, err = newAuthority(k.now()); err != nil {
				return nil, err
			}
		}
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: k.namespace, Labels: labels()},
			Type:       corev1.SecretTypeTLS,
			Data:       map[string][]byte{corev1.TLSCertKey: ca.certPEM, corev1.TLSPrivateKeyKey: ca.keyPEM},
		}, metav1.CreateOptions{})
		if err == nil {
			k.log.Info("CA stored", "event", "caStored", "secret", k.namespace+"/"+ObjectName, "new", known == nil)
			return ca, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("create Secret %s/%s: %w", k.namespace, ObjectName, err)
		}
	}
	return nil, fmt.Errorf("create Secret %s/%s: it comes and goes", k.namespace, ObjectName)
}

// publish makes the ConfigMap carry the bundle.
func (k *Keeper) publish(ctx context.Context, bundle string) error {
	if k.follow {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	maps := k.client.CoreV1().ConfigMaps(k.namespace)
	found, err := maps.Get(ctx, ObjectName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: k.namespace, Labels: labels()},
			Data:       map[string]string{BundleKey: bundle},
		}, metav1.CreateOptions{})
	case err == nil && found.Data[BundleKey] != bundle:
		found = found.DeepCopy()
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[BundleKey] = bundle
		_, err = maps.Update(ctx, found, metav1.UpdateOptions{}) // conflicts are tried again by the caller
	}
	if err != nil {
		return fmt.Errorf("publish the CA in ConfigMap %s/%s: %w", k.namespace, ObjectName, err)
	}
	return nil
}
