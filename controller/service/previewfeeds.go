package service

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/speaker/backoff"
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

// version is what tells two states of an object of the configuration apart, whatever its status.
type version struct {
	uid        types.UID
	generation int64
}

// confirm returns nil when the configuration that was heard of is the one that the server has.
func (p *Preview) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	there, err := p.configured(ctx)
	for err == nil && !p.knows(there) {
		if err = backoff.Sleep(ctx, 10*time.Millisecond); err == nil {
			there, err = p.configured(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return nil
}

// configured asks the server for what there is, by resource and name.
func (p *Preview) configured(ctx context.Context) (map[string]version, error) {
	there := map[string]version{}
	var pools v1beta1.IPAddressPoolList
	var legacy v1beta1.AddressPoolList
	var reservations v1beta1.IPReservationList
	get := func(resource string) (err error) {
		request := p.Pools.Get().Namespace(p.Namespace).Resource(resource)
		switch resource {
		case "ipaddresspools":
			err = request.Do(ctx).Into(&pools)
		case "addresspools":
			err = request.Do(ctx).Into(&legacy)
		case "ipreservations":
			err = request.Do(ctx).Into(&reservations)
		}
		if err != nil {
			return fmt.Errorf("list of %s: %w", resource, err)
		}
		return nil
	}
	for _, resource := range []string{"ipaddresspools", "addresspools", "ipreservations"} {
		if err := get(resource); err != nil {
			return nil, err
		}
	}
	for i := range pools.Items {
		o := &pools.Items[i]
		there["pool/"+o.Name] = version{o.UID, o.Generation}
	}
	for i := range legacy.Items {
		o := &legacy.Items[i]
		there["legacy/"+o.Name] = version{o.UID, o.Generation}
	}
	for i := range reservations.Items {
		o := &reservations.Items[i]
		there["reservation/"+o.Name] = version{o.UID, o.Generation}
	}
	return there, nil
}

// knows reports whether exactly that has been heard of.
func (p *Preview) knows(there map[string]version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(there) != len(p.book.pools)+len(p.reservations.reservations) {
		return false
	}
	for key, o := range p.book.pools {
		kind := "pool/"
		if key.legacy {
			kind = "legacy/"
		}
		if there[kind+key.name] != (version{o.UID, o.Generation}) {
			return false
		}
	}
	for name, o := range p.reservations.reservations {
		if there["reservation/"+name] != (version{o.UID, o.Generation}) {
			return false
		}
	}
	return true
}
