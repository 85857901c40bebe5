package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
)

const (
	dispatchAudience = "ingot-dispatch"
	tokenLife        = time.Hour
	shortestLife     = 10 * time.Minute // the kube-apiserver gives no token for less
)

// token makes a token of a node's speaker, as the request asks.
func (l *Lab) token(ctx context.Context, r control.Request) (string, error) {
	p, err := l.part(part.Name{Kind: part.Speaker, Instance: r.Place}.String())
	if err != nil {
		return "", fmt.Errorf("a token is one of a node's speaker: %w", err)
	}
	audience := r.Audience
	if audience == "" {
		audience = dispatchAudience
	}
	token, err := l.kubelet.Token(ctx, *p.pod, audience, max(r.Expiry, shortestLife))
	if err != nil || r.Expiry >= shortestLife {
		return token, err
	}
	return l.pki.Expiring(token, r.Expiry)
}
