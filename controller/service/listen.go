package service

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// The functions below are what the feeds call.

func (c *Controller) putService(svc *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hear(svc)
}

// hear takes in the present state of a Service. The caller holds mu.
func (c *Controller) hear(svc *corev1.Service) {
	key := keyOf(svc)
	if old := c.services[key]; old != nil && old.UID != svc.UID {
		c.gone(key) // deleted and made anew between two lists
	}
	svc.ManagedFields = nil // most of the object, and none of our business; the server keeps them
	c.services[key] = svc
	if c.synced {
		c.queue.Add(key)
	}
}

func (c *Controller) removeService(svc *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone(keyOf(svc))
}

// gone frees what a deleted Service held. The caller holds mu.
func (c *Controller) gone(key string) {
	if c.services[key] == nil {
		return
	}
	delete(c.services, key)
	delete(c.pending, key)
	c.tick()
	if c.desk.forget(key) {
		c.Log.Info("service deleted", "event", "serviceDeleted", "service", key)
		c.tick() // what it held may rest
		c.retryPending()
		c.duePoolStatus()
	}
}

func (c *Controller) replaceServices(list []*corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	listed := make(map[string]bool, len(list))
	for _, svc := range list {
		listed[keyOf(svc)] = true
		c.hear(svc)
	}
	for key := range c.services {
		if !listed[key] {
			c.gone(key)
		}
	}
}

// change edits the book and has the pools applied if that made a difference.
func (c *Controller) change(edit func(*poolBook)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(c.book)
	if c.synced && len(c.book.changed) > 0 {
		c.queue.Add(applyPools)
	}
}

func (c *Controller) putPool(p *v1beta1.IPAddressPool) {
	c.change(func(b *poolBook) { b.put(p, true) })
	c.duePoolStatus() // its status may be somebody else's writing
}

func (c *Controller) removePool(p *v1beta1.IPAddressPool) {
	c.change(func(b *poolBook) { b.remove(p.Name, true) })
}

func (c *Controller) replacePools(list []*v1beta1.IPAddressPool) {
	c.change(func(b *poolBook) { b.replace(list) })
	c.duePoolStatus()
}

func (c *Controller) putNamespace(ns *corev1.Namespace) {
	c.change(func(b *poolBook) { b.putNamespace(ns, true) })
}

func (c *Controller) removeNamespace(ns *corev1.Namespace) {
	c.change(func(b *poolBook) { b.removeNamespace(ns.Name, true) })
}

func (c *Controller) replaceNamespaces(list []*corev1.Namespace) {
	c.change(func(b *poolBook) { b.replaceNamespaces(list) })
}
