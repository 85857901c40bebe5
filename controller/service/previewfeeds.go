package service

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// locked is f under the lock of p.
func locked[T any](p *Preview, f func(T)) func(T) {
	return func(x T) {
		p.mu.Lock()
		defer p.mu.Unlock()
		f(x)
	}
}

func (p *Preview) putService(svc *corev1.Service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hear(svc)
}

// hear takes in the present state of a Service. The caller holds mu.
func (p *Preview) hear(svc *corev1.Service) {
	p.heard++
	key := keyOf(svc)
	if !p.ours(svc) {
		p.gone(key)
		return
	}
	svc.ManagedFields = nil
	p.services[key] = svc
	if p.synced {
		p.refresh()
		p.settle(svc)
	}
}

// gone frees what a Service held. The caller holds mu.
func (p *Preview) gone(key string) {
	p.heard++
	delete(p.services, key)
	p.desk.ips.Release(key)
}

func (p *Preview) removeService(svc *corev1.Service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.desk.ips.Advance(time.Now())
	p.gone(keyOf(svc))
}

func (p *Preview) replaceServices(list []*corev1.Service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	listed := make(map[string]bool, len(list))
	for _, svc := range list {
		listed[keyOf(svc)] = true
	}
	for key := range p.services { // first, because others may have what they had
		if !listed[key] {
			p.gone(key)
		}
	}
	for _, svc := range list {
		p.hear(svc)
	}
}

func (p *Preview) bookNamespaces(list []*corev1.Namespace) { p.book.replaceNamespaces(list) }
func (p *Preview) bookNamespace(ns *corev1.Namespace)      { p.book.putNamespace(ns, true) }
func (p *Preview) strikeNamespace(ns *corev1.Namespace)    { p.book.removeNamespace(ns.Name, true) }

func (p *Preview) bookLegacyPool(o *v1beta1.AddressPool) {
	out, err := modern(o)
	if err != nil {
		p.Log.Warn("going on with the last usable form of a pool", "op", "setPools", "error", err)
		return
	}
	p.book.enter(poolKey{o.Name, true}, out, true)
}

func (p *Preview) bookLegacyPools(list []*v1beta1.AddressPool) {
	var all []*v1beta1.IPAddressPool
	for _, o := range list {
		out, err := modern(o)
		if err != nil {
			p.Log.Warn("a pool cannot be used", "op", "setPools", "error", err)
			continue
		}
		all = append(all, out)
	}
	p.book.replaceAll(all, true)
}
