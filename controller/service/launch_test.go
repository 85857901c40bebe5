package service

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// start runs a controller with the ServiceAccount that is shipped, and waits until it is ready. stop ends it and waits.
func (c *cluster) start(edits ...func(*Options)) (ctl *Controller, stop func()) {
	c.Helper()
	ctl, stop = c.launch(edits...)
	c.await("the controller to be ready", func() bool { return ctl.Ready() == nil })
	return ctl, stop
}

// awaitHeard waits until what a controller knows is so; is is called under its lock.
func (c *cluster) awaitHeard(ctl *Controller, what string, is func() bool) {
	c.Helper()
	c.await("the controller to know of "+what, func() bool {
		ctl.mu.Lock()
		defer ctl.mu.Unlock()
		return is()
	})
}

// awaitDecided waits until a controller has decided that a Service is to have just that, written or not; "" for nothing.
func (c *cluster) awaitDecided(ctl *Controller, name, ip string) {
	c.Helper()
	c.awaitHeard(ctl, fmt.Sprintf("%q for Service %s", ip, name), func() bool {
		held, _ := ctl.desk.ips.Holding("default/" + name)
		return strings.Join(texts(held.Addrs), ",") == ip
	})
}

// launch is start without waiting.
func (c *cluster) launch(edits ...func(*Options)) (ctl *Controller, stop func()) {
	c.Helper()
	config := api.Config("controller")
	client, err := kubernetes.NewForConfig(Compact(config))
	if err != nil {
		c.Fatal(err)
	}
	viaFront := rest.CopyConfig(config)
	viaFront.Host, viaFront.TLSClientConfig = c.front.URL, rest.TLSClientConfig{}
	hc, err := rest.HTTPClientFor(viaFront)
	if err != nil {
		c.Fatal(err)
	}
	pools, err := NewPoolClient(viaFront, hc)
	if err != nil {
		c.Fatal(err)
	}
	options := Options{Client: client, Pools: pools, Ledger: c.ledger, Namespace: system, Log: silent()}
	for _, edit := range edits {
		edit(&options)
	}
	ctl = New(options)
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan error, 1)
	go func() { done <- ctl.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			c.Errorf("Run: %v", err)
		}
	}
	c.Cleanup(stop)
	return ctl, stop
}
