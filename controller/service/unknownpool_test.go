package service

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestUnknownTo(t *testing.T) {
	ask := annotated(prefix+addressPool, "absent")
	cases := []struct {
		name string
		desk *desk
		svc  *corev1.Service
		want string
	}{
		{"not heard of", deskWith(pool("web", "192.0.2.0/24")), newService("s", ask), "absent"},
		{"heard of", deskWith(pool("absent", "192.0.2.0/24")), newService("s", ask), ""},
		{"no pools at all", deskWith(), newService("s", ask), ""},
		{"asks for none", deskWith(pool("web", "192.0.2.0/24")), newService("s"), ""},
		{"not a load balancer", deskWith(pool("web", "192.0.2.0/24")), newService("s", ask, typed(corev1.ServiceTypeClusterIP)), ""},
		{"served in spite of it before a restart", deskWith(pool("web", "192.0.2.0/24")), newService("s", ask, annotated(unknownPool, "absent")), ""},
		{"served in spite of another", deskWith(pool("web", "192.0.2.0/24")), newService("s", ask, annotated(unknownPool, "older")), "absent"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.desk.unknownTo(c.svc); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestPoolNotHeardOfYetIsWaitedFor: a Service does not end up in another pool because the watch of pools is behind.
func TestPoolNotHeardOfYetIsWaitedFor(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.0/28")
	ctl, _ := c.start()
	c.front.deafen(true)
	c.putPool("late", "198.51.100.7/32")
	c.createService("early", annotated(prefix+addressPool, "late"))
	c.await("the controller to have tried", func() bool { return ctl.counters.errors.Load() > 0 })
	if got := ingressAddrs(c.service("early")); len(got) > 0 {
		t.Errorf("served with %v before its pool was heard of", got)
	}

	c.front.deafen(false)
	c.awaitIP("early", "198.51.100.7")
	for _, e := range c.events("early") {
		if strings.Contains(e, "UnknownPool") {
			t.Errorf("event %q about a pool that exists", e)
		}
	}

	c.createService("stray", annotated(prefix+addressPool, "nowhere"))
	c.awaitIP("stray", "192.0.2.0")
	c.createService("odd", annotated(prefix+addressPool, "no/name"))
	c.awaitIP("odd", "192.0.2.1")
}
