package standin

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Token asks for a token of the Pod's ServiceAccount, bound to the Pod and so to its node, for an audience ("": the
// kube-apiserver's own) and at least ten minutes. The Pod must have been made by Ensure.
func (k *Pods) Token(ctx context.Context, p Pod, audience string, expiry time.Duration) (string, error) {
	uid, err := k.UID(p.Key())
	if err != nil {
		return "", err
	}
	seconds := int64(expiry / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: uid},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer, err := k.client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, p.ServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of ServiceAccount %s bound to Pod %s: %w", p.ServiceAccount, p.Key(), err)
	}
	return answer.Status.Token, nil
}
