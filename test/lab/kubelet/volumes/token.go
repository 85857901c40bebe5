package volumes

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// oldest is how old a token gets at most, however long it would live.
const oldest = 24 * time.Hour

// token is one of a projected volume.
type token struct {
	text  string
	renew time.Time // 80 % of its life
	ends  time.Time
}

// tokenFor is the Pod's token for a projection, a new one when it is time. While none is to be had, the old one stays as long
// as it is valid.
func (v *Volumes) tokenFor(ctx context.Context, pod *corev1.Pod, volume string, p *corev1.ServiceAccountTokenProjection) (token, error) {
	key := volume + "/" + p.Path
	have, ok := v.tokens[key]
	now := time.Now()
	if ok && now.Before(have.renew) {
		return have, nil
	}
	fresh, err := v.request(ctx, pod, p)
	if err != nil {
		if ok && now.Before(have.ends) {
			v.Log.Warn("renewing a token", "pod", pod.Namespace+"/"+pod.Name, "volume", volume, "error", err)
			have.renew = now.Add(10 * time.Second)
			v.tokens[key] = have
			return have, nil
		}
		return token{}, fmt.Errorf("failed to fetch token: %w", err)
	}
	v.tokens[key] = fresh
	return fresh, nil
}

func (v *Volumes) request(ctx context.Context, pod *corev1.Pod, p *corev1.ServiceAccountTokenProjection) (token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: p.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	answer, err := v.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return token{}, err
	}
	now, ends := time.Now(), answer.Status.ExpirationTimestamp.Time
	life := ends.Sub(now)
	return token{text: answer.Status.Token, renew: now.Add(min(life*4/5, oldest)), ends: ends}, nil
}
