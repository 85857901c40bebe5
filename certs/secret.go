package certs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// requestTimeout bounds one request to the host cluster. It is short, since a start may hang on it.
const requestTimeout = 3 * time.Second

// labels are on what this package creates, as on everything of an installation.
func labels() map[string]string {
	return map[string]string{"app": "metallb", "component": "apiserver", "app.kubernetes.io/component": "apiserver"}
}

// stored is what the Secret holds, and the Secret, by which the next update of it is compared.
type stored struct {
	trust  *trust
	secret *corev1.Secret
}

// load returns what is in the Secret. When there is no Secret, it creates one, with what is known if anything is (the
// Secret was deleted), or a new CA; of several replicas that do so at a time, the first wins.
func (k *Keeper) load(ctx context.Context, known *trust) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	secrets := k.options.Client.CoreV1().Secrets(k.options.Namespace)
	for range 3 { // it may be created and deleted by others in between
		secret, err := secrets.Get(ctx, ObjectName, metav1.GetOptions{})
		if err == nil {
			return k.read(ctx, secret)
		}
		if !apierrors.IsNotFound(err) {
			return stored{}, fmt.Errorf("get Secret %s/%s: %w", k.options.Namespace, ObjectName, err)
		}
		t := known
		if t == nil || k.now().After(t.current.cert.NotAfter) {
			if t, err = k.options.Policy.take(replace, k.now(), &trust{}); err != nil {
				return stored{}, err
			}
		}
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: k.options.Namespace, Labels: labels()},
			Type:       corev1.SecretTypeTLS,
		}
		t.document().into(secret)
		secret, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		if err == nil {
			k.log.Info("CA stored", "event", "caStored", "secret", k.options.Namespace+"/"+ObjectName, "new", t != known,
				"subject", t.current.cert.Subject.String(), "notAfter", t.current.cert.NotAfter.UTC().Format(time.RFC3339))
			return stored{t, secret}, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return stored{}, fmt.Errorf("create Secret %s/%s: %w", k.options.Namespace, ObjectName, err)
		}
	}
	return stored{}, fmt.Errorf("create Secret %s/%s: it comes and goes", k.options.Namespace, ObjectName)
}

// read reads the Secret as it is, and puts its bundle right.
func (k *Keeper) read(ctx context.Context, secret *corev1.Secret) (stored, error) {
	t, err := document{secret.Data, secret.Annotations}.parse()
	if err != nil {
		k.count(err.Error())
		return stored{}, fmt.Errorf("the Secret %s/%s is not usable: %w", k.options.Namespace, ObjectName, err)
	}
	k.count("")
	found := stored{t, secret}
	if known := k.known(); known != nil && !known.equal(t) {
		k.log.Info("the Secret holds another CA than before", "event", "caChanged", "subject", t.current.cert.Subject.String(),
			"notAfter", t.current.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if bytes.Equal(secret.Data[BundleKey], t.bundle()) || Elsewhere(secret) != "" {
		return found, nil
	}
	return k.update(ctx, found, t)
}

// count counts a Secret as refused unless the same was wrong with it before; "" is nothing.
func (k *Keeper) count(wrong string) {
	k.mu.Lock()
	again := k.wrong == wrong
	k.wrong = wrong
	k.mu.Unlock()
	if wrong != "" && !again {
		k.refuse()
	}
}

// advance takes a step of the rotation. Where another replica was faster, it returns what that one made.
func (k *Keeper) advance(ctx context.Context, from stored, s step) (stored, error) {
	next, err := k.options.Policy.take(s, k.now(), from.trust)
	if err != nil {
		return stored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := k.update(ctx, from, next)
	if err == nil && found.trust == next {
		level := k.log.Info
		if s == replace {
			level = k.log.Warn
		}
		level("CA rotated by a step", "event", "caRotation", "step", s.String(), "signs", next.current.cert.Subject.String(),
			"notAfter", next.current.cert.NotAfter.UTC().Format(time.RFC3339), "trusted", len(inspect.Certificates(next.bundle())))
	}
	return found, err
}

// update writes next in place of what was read, if it is still there; otherwise it returns what is.
func (k *Keeper) update(ctx context.Context, from stored, next *trust) (stored, error) {
	secret := from.secret.DeepCopy()
	next.document().into(secret)
	secrets := k.options.Client.CoreV1().Secrets(k.options.Namespace)
	written, err := secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if err == nil {
		return stored{next, written}, nil
	}
	if !apierrors.IsConflict(err) {
		return stored{}, fmt.Errorf("update Secret %s/%s: %w", k.options.Namespace, ObjectName, err)
	}
	if secret, err = secrets.Get(ctx, ObjectName, metav1.GetOptions{}); err != nil {
		return stored{}, fmt.Errorf("get Secret %s/%s: %w", k.options.Namespace, ObjectName, err)
	}
	t, err := document{secret.Data, secret.Annotations}.parse()
	if err != nil {
		return stored{}, fmt.Errorf("the Secret %s/%s is not usable: %w", k.options.Namespace, ObjectName, err)
	}
	return stored{t, secret}, nil
}

// into makes a Secret say what the document does, and leaves the rest of it.
func (d document) into(secret *corev1.Secret) {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	for _, key := range []string{nextCert, nextKey, oldCert} {
		delete(secret.Data, key)
	}
	for _, name := range []string{toldAnnotation, promotedAnnotation, RotateAnnotation} {
		delete(secret.Annotations, name)
	}
	maps.Copy(secret.Data, d.Data)
	maps.Copy(secret.Annotations, d.Annotations)
}
