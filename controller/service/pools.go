package service

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// poolBook is the pools and namespaces as last heard of, and how they were heard of: a change that arrives as a watch
// event happened; a pool that is merely missing from a list may be missing from a store that was lost, or is not
// all there yet. Only the former may cost a Service its address.
type poolBook struct {
	pools      map[poolKey]*v1beta1.IPAddressPool
	parsed     map[poolKey]ipam.Pool // last usable form of each
	namespaces map[string]labels.Set
	// changed holds the pools that changed since they were last given to the allocator, and whether all of their
	// changes were seen happening.
	changed map[poolKey]bool
	// unusable holds why the current form of a pool cannot be used.
	unusable map[poolKey]error
}

// poolKey tells pools apart. No two have one name, whatever their kinds; but the kinds are heard of separately, so that
// the successor of a pool may be known here before its end is.
type poolKey struct {
	name string
	// legacy is set for an AddressPool.
	legacy bool
}

func newPoolBook() *poolBook {
	return &poolBook{
		pools:      map[poolKey]*v1beta1.IPAddressPool{},
		parsed:     map[poolKey]ipam.Pool{},
		namespaces: map[string]labels.Set{},
		changed:    map[poolKey]bool{},
		unusable:   map[poolKey]error{},
	}
}

func (b *poolBook) mark(key poolKey, seen bool) {
	before, marked := b.changed[key]
	b.changed[key] = seen && (before || !marked)
}

// put is a pool that was added or modified.
func (b *poolBook) put(p *v1beta1.IPAddressPool, seen bool) { b.enter(poolKey{name: p.Name}, p, seen) }

func (b *poolBook) enter(key poolKey, p *v1beta1.IPAddressPool, seen bool) {
	old := b.pools[key]
	b.pools[key] = p
	if old == nil || !equality.Semantic.DeepEqual(old.Spec, p.Spec) {
		b.mark(key, seen)
	}
}

func (b *poolBook) remove(name string, seen bool) { b.strike(poolKey{name: name}, seen) }

func (b *poolBook) strike(key poolKey, seen bool) {
	if b.pools[key] == nil {
		return
	}
	delete(b.pools, key)
	b.mark(key, seen)
}

// replace is the answer to a list of IPAddressPools.
func (b *poolBook) replace(list []*v1beta1.IPAddressPool) { b.replaceAll(list, false) }

// replaceAll is the answer to a list of one kind. A pool that has moved on from the generation that was known is as good
// as a watch event: a store that was lost or restored cannot know the same object in a later state.
func (b *poolBook) replaceAll(list []*v1beta1.IPAddressPool, legacy bool) {
	listed := map[string]bool{}
	for _, p := range list {
		listed[p.Name] = true
		key := poolKey{p.Name, legacy}
		old := b.pools[key]
		b.enter(key, p, old == nil || old.UID == p.UID && old.Generation < p.Generation)
	}
	for key := range b.pools {
		if key.legacy == legacy && !listed[key.name] {
			b.strike(key, false)
		}
	}
}

// putNamespace is a namespace that was added or modified.
func (b *poolBook) putNamespace(ns *corev1.Namespace, seen bool) {
	old, known := b.namespaces[ns.Name]
	if known && labels.Equals(old, ns.Labels) {
		return
	}
	b.namespaces[ns.Name] = ns.Labels
	b.markSelecting(seen)
}

func (b *poolBook) removeNamespace(name string, seen bool) {
	if _, known := b.namespaces[name]; known {
		delete(b.namespaces, name)
		b.markSelecting(seen)
	}
}

func (b *poolBook) replaceNamespaces(list []*corev1.Namespace) {
	listed := map[string]bool{}
	for _, ns := range list {
		listed[ns.Name] = true
		b.putNamespace(ns, false)
	}
	for name := range b.namespaces {
		if !listed[name] {
			b.removeNamespace(name, false)
		}
	}
}

// markSelecting marks the pools whose meaning depends on namespaces' labels.
func (b *poolBook) markSelecting(seen bool) {
	for key, p := range b.pools {
		if p.Spec.AllocateTo != nil && len(p.Spec.AllocateTo.NamespaceSelectors) > 0 {
			b.mark(key, seen)
		}
	}
}

// take returns all pools for the allocator, and the names of those that changed, with
// whether they were seen changing. A pool that cannot be used as it is goes on as it was last usable.
func (b *poolBook) take() (pools []ipam.Pool, seen map[string]bool) {
	seen = make(map[string]bool, len(b.changed))
	for key, changeSeen := range b.changed {
		before, marked := seen[key.name]
		seen[key.name] = changeSeen && (before || !marked)
		delete(b.unusable, key)
		p := b.pools[key]
		if p == nil {
			delete(b.parsed, key)
			continue
		}
		parsed, err := b.parse(p)
		if err != nil {
			b.unusable[key] = err
			continue
		}
		b.parsed[key] = parsed
	}
	b.changed = map[poolKey]bool{}
	for key, p := range b.parsed {
		if _, succeeded := b.parsed[poolKey{name: key.name}]; key.legacy && succeeded {
			continue // by an IPAddressPool of its name
		}
		pools = append(pools, p)
	}
	return pools, seen
}

// parse makes an allocator's pool of an API object.
func (b *poolBook) parse(p *v1beta1.IPAddressPool) (ipam.Pool, error) {
	out := ipam.Pool{
		Name:          p.Name,
		AutoAssign:    p.Spec.AutoAssign == nil || *p.Spec.AutoAssign,
		AvoidBuggyIPs: p.Spec.AvoidBuggyIPs,
	}
	for _, text := range p.Spec.Addresses {
		r, err := addrrange.Parse(text)
		if err != nil {
			return ipam.Pool{}, fmt.Errorf("pool %q: %w", p.Name, err)
		}
		out.Ranges = append(out.Ranges, r)
	}
	if q := p.Spec.Quota; q != nil {
		out.Quota = quotaOf(q)
	}
	to := p.Spec.AllocateTo
	if to != nil && to.Cooldown != nil {
		var err error
		if out.Cooldown, err = metallb.Duration(*to.Cooldown).Parse(); err != nil {
			return ipam.Pool{}, fmt.Errorf("IPAddressPool %q: cooldown: %w", p.Name, err)
		}
	}
	if !to.Pins() {
		return out, nil
	}
	namespaces, err := selectorsOf(to.NamespaceSelectors)
	services, err2 := selectorsOf(to.ServiceSelectors)
	if err := errors.Join(err, err2); err != nil {
		return ipam.Pool{}, fmt.Errorf("pool %q: %w", p.Name, err)
	}
	out.Pin = &ipam.Pin{
		Priority:         to.Priority,
		ByNamespace:      len(to.Namespaces)+len(namespaces) > 0,
		Namespaces:       map[string]bool{},
		ServiceSelectors: services,
	}
	for _, name := range to.Namespaces {
		out.Pin.Namespaces[name] = true
	}
	for name, set := range b.namespaces {
		if slices.ContainsFunc(namespaces, func(s labels.Selector) bool { return s.Matches(set) }) {
			out.Pin.Namespaces[name] = true
		}
	}
	return out, nil
}

func quotaOf(q *v1beta1.Quota) *ipam.Quota {
	out := &ipam.Quota{PerNamespace: -1, Namespaces: map[string]int64{}}
	if q.PerNamespace != nil {
		out.PerNamespace = *q.PerNamespace
	}
	for _, ns := range q.Namespaces {
		out.Namespaces[ns.Name] = ns.Limit
	}
	return out
}

func selectorsOf(in []metav1.LabelSelector) ([]labels.Selector, error) {
	var out []labels.Selector
	for i := range in {
		s, err := metav1.LabelSelectorAsSelector(&in[i])
		if err != nil {
			return nil, fmt.Errorf("selector %d: %w", i, err)
		}
		out = append(out, s)
	}
	return out, nil
}
