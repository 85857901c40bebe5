package dispatch

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/plan"
)

// listener hears of plans.
type listener struct {
	mu   sync.Mutex
	last *Planned
	ends int
}

func (l *listener) hear(p *Planned) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = p
	if p == nil {
		l.ends++
	}
}

func (l *listener) says(ok func(p *Planned, ends int) bool) func() bool {
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return ok(l.last, l.ends)
	}
}

func TestPlansAreHeardOfWhileThisReplicaLeads(t *testing.T) {
	config := configuration()
	config.BGPPeers[0].Spec.PasswordSecret.Name = "bgp"
	store := newMemory(config)
	c := newCentre(t, store, nodeNamed("node1"))
	eventually(t, "the Secret is missing", c.plans.says(func(p *Planned, _ int) bool {
		return p != nil && p.Epoch == 1 && p.Config == config && len(p.Nodes) == 1 && len(p.Withheld) == 1 && p.Withheld[0].Reason == plan.ReasonInvalidPassword
	}))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "bgp"}, Type: corev1.SecretTypeBasicAuth,
		Data: map[string][]byte{"password": []byte("s3cret")}}
	if _, err := c.client.CoreV1().Secrets("metallb-system").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Secret is there", c.plans.says(func(p *Planned, _ int) bool {
		return p != nil && p.Secrets["bgp"] != nil && len(p.Withheld) == 0
	}))
	store.set(func(m *memory) { close(m.done) })
	eventually(t, "another leads", c.plans.says(func(p *Planned, ends int) bool { return p == nil && ends > 0 }))
}

func TestRefusedSessionsAreTold(t *testing.T) {
	n := newNodes(func() {}, func() {}, nil)
	stream := &stream{aborted: make(chan struct{})}
	x := &node{name: "node1", stream: stream, rejected: map[string]string{
		"bgp-session/tor": "no such VRF", "bgp-session/spine": "", "bgp-route/10.0.0.0/24": "no room",
	}}
	n.byName["node1"] = x
	n.byName["away"] = &node{name: "away", rejected: map[string]string{"bgp-session/tor": "as it was"}}
	if diff := cmp.Diff(map[string]map[string]string{"tor": {"node1": "no such VRF"}}, n.refusedSessions()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
