package rules

import (
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Secrets tells what the Secret of a name in the system namespace is: nil where there is none. Known is false while that
// cannot be told.
type Secrets func(name string) (secret *corev1.Secret, known bool)

// PasswordSecret says why the password of a session cannot be taken from a Secret (X9): a stable word, and a sentence in
// which there is nothing of what the Secret holds. Both are empty where it can.
func PasswordSecret(name string, secret *corev1.Secret) (reason, problem string) {
	if secret == nil {
		return SecretNotFound, fmt.Sprintf("Secret %q does not exist in the system namespace", name)
	}
	if secret.Type != corev1.SecretTypeBasicAuth {
		return InvalidSecret, fmt.Sprintf("Secret %q is of type %q; it must be of type %q", name, secret.Type, corev1.SecretTypeBasicAuth)
	}
	value, ok := secret.Data[corev1.BasicAuthPasswordKey]
	switch {
	case !ok:
		return InvalidSecret, fmt.Sprintf("Secret %q has no key %q", name, corev1.BasicAuthPasswordKey)
	case len(value) == 0:
		return InvalidSecret, fmt.Sprintf("Secret %q has an empty %q", name, corev1.BasicAuthPasswordKey)
	case len(value) > metallb.MaxPassword:
		return InvalidSecret, fmt.Sprintf("%q in Secret %q has %d bytes; TCP-MD5 takes %d at most", corev1.BasicAuthPasswordKey, name, len(value), metallb.MaxPassword)
	case !utf8.Valid(value):
		return InvalidSecret, fmt.Sprintf("%q in Secret %q is not valid UTF-8", corev1.BasicAuthPasswordKey, name)
	}
	return "", ""
}
