package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/standin"
)

const (
	dispatchAudience = "ingot-dispatch"
	tokenLife        = time.Hour
	renewAfter       = 48 * time.Minute // 80 % of its life, as a kubelet does
	shortestLife     = 10 * time.Minute // the kube-apiserver gives no token for less
)

// token is a file that always holds a valid token of a Pod, as a projected volume would.
type token struct {
	pod      standin.Pod
	audience string
	file     string

	mu     sync.Mutex
	uid    types.UID // of the Pod that the token in the file is bound to
	issued time.Time
}

func (l *Lab) tokenFile(pod standin.Pod) string { return l.file("tokens", pod.Name) }

// ensureToken writes the file unless its token is of the Pod there is. It then asks nobody, so that a program can be
// started while the kube-apiserver is away.
func (l *Lab) ensureToken(ctx context.Context, t *token) error {
	uid, err := l.standins.UID(t.pod.Key())
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uid == uid {
		return nil
	}
	return l.issue(ctx, t, uid)
}

// issue gets a token and puts it in place of the one before, in one step.
func (l *Lab) issue(ctx context.Context, t *token, uid types.UID) error {
	text, err := l.standins.Token(ctx, t.pod, t.audience, tokenLife)
	if err != nil {
		return err
	}
	if err := replaceFile(t.file, []byte(text)); err != nil {
		return fmt.Errorf("token of Pod %s: %w", t.pod.Key(), err)
	}
	t.uid, t.issued = uid, time.Now()
	return nil
}

// renewTokens keeps all tokens valid until ctx ends. It looks every half a minute, which is also when it tries again
// what failed.
func (l *Lab) renewTokens(ctx context.Context) {
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		for _, t := range l.tokens {
			if err := l.renew(ctx, t); err != nil {
				l.log.Warn("renewing a token", "pod", t.pod.Key().String(), "error", err)
			}
		}
	}, 30*time.Second, 0.2, true)
}

func (l *Lab) renew(ctx context.Context, t *token) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.issued.IsZero() || time.Since(t.issued) < renewAfter {
		return nil
	}
	uid, err := l.standins.UID(t.pod.Key())
	if err != nil {
		return nil // the Pod was deleted: its next start makes another, with a token
	}
	return l.issue(ctx, t, uid)
}

// token makes a token of a node's speaker, as the request asks.
func (l *Lab) token(ctx context.Context, r control.Request) (string, error) {
	u, err := l.unit(part.Name{Kind: part.Speaker, Instance: r.Place}.String())
	if err != nil {
		return "", fmt.Errorf("a token is one of a node's speaker: %w", err)
	}
	audience := r.Audience
	if audience == "" {
		audience = dispatchAudience
	}
	var text string
	switch u := u.(type) {
	case *Part:
		text, err = l.standins.Token(ctx, *u.pod, audience, max(r.Expiry, shortestLife))
	case *containers:
		pod := u.all[len(u.all)-1]
		bound := standin.Bound{Pod: pod.Pod, UID: pod.UID, ServiceAccount: part.Speaker}
		text, err = bound.Token(ctx, l.client, audience, max(r.Expiry, shortestLife))
	}
	if err != nil || r.Expiry >= shortestLife {
		return text, err
	}
	return l.pki.Expiring(text, r.Expiry)
}

// replaceFile writes a file so that whoever reads it sees the old or the new content.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
