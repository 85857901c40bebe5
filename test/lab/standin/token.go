package standin

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Token asks for a token of the Pod's ServiceAccount, see Bound. The Pod must have been made by Ensure.
func (k *Pods) Token(ctx context.Context, p Pod, audience string, expiry time.Duration) (string, error) {
	uid, err := k.UID(p.Key())
	if err != nil {
		return "", err
	}
	return Bound{Pod: p.Key(), UID: uid, ServiceAccount: p.ServiceAccount}.Token(ctx, k.client, audience, expiry)
}

// Bound is a Pod that a token is bound to.
type Bound struct {
	Pod            types.NamespacedName
	UID            types.UID
	ServiceAccount string
}

// Token asks for a token of the ServiceAccount, bound to the Pod and so to its node, for an audience ("": the
// kube-apiserver's own) and at least ten minutes.
func (b Bound) Token(ctx context.Context, client kubernetes.Interface, audience string, expiry time.Duration) (string, error) {
	seconds := int64(expiry / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: b.Pod.Name, UID: b.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer, err := client.CoreV1().ServiceAccounts(b.Pod.Namespace).CreateToken(ctx, b.ServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of ServiceAccount %s bound to Pod %s: %w", b.ServiceAccount, b.Pod, err)
	}
	return answer.Status.Token, nil
}
