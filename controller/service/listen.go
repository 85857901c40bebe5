package service

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// The functions below are what the feeds call.

func (c *Controller) putService(svc *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hear(svc)
}

// hear takes in the present state of a Service. One that is new to us and shows addresses has them from this moment on,
// before anybody who waits is looked at. The caller holds mu.
func (c *Controller) hear(svc *corev1.Service) {
	key := keyOf(svc)
	if old := c.services[key]; old != nil && old.UID != svc.UID {
		c.gone(key) // deleted and made anew between two lists
	}
	svc.ManagedFields = nil // most of the object, and none of our business; the server keeps them
	_, known := c.services[key]
	c.services[key] = svc
	delete(c.missing, key)
	if !c.synced {
		return
	}
	if !known {
		c.refresh()
		c.desk.reserve(svc)
	}
	c.queue.Add(key)
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
	delete(c.missing, key)
	delete(c.pending, key)
	delete(c.account.unfenced, key)
	if c.synced {
		c.queue.Add(key) // for what the ledger has of it
	}
	c.tick()
	if c.desk.forget(key) {
		c.Log.Info("service deleted", "event", "serviceDeleted", "service", key)
		c.tick() // what it held may rest
		c.retryPending()
		c.duePoolStatus()
	}
}

// replaceServices takes in a list. What is not in it need not be gone: a server that comes up with half its data answers
// with an empty list, too. So the server is asked about each that is missing.
func (c *Controller) replaceServices(list []*corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	listed := make(map[string]*corev1.Service, len(list))
	for _, svc := range list {
		listed[keyOf(svc)] = svc
	}
	for _, svc := range inOrderOfClaims(listed) {
		c.hear(svc)
	}
	for key := range c.services {
		if listed[key] == nil {
			c.missing[key] = true
			c.queue.Add(key)
		}
	}
}

// confirmGone asks the server about a Service that was missing from a list. An error says to try again.
func (c *Controller) confirmGone(ctx context.Context, key string) error {
	namespace, name, _ := strings.Cut(key, "/")
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	svc, err := c.Client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.missing[key]: // heard of meanwhile
	case apierrors.IsNotFound(err):
		c.gone(key)
	case err != nil:
		return fmt.Errorf("whether Service %s exists, which was missing from a list: %w", key, err)
	default:
		c.Log.Warn("a service exists that was missing from a list", "event", "serviceMissing", "service", key)
		c.hear(svc)
	}
	return nil
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
