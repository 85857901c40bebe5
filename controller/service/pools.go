package service

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// poolBook is the pools and namespaces as last heard of, and how they were heard of: a change that arrives as a watch
// event happened; a pool that is merely missing from a list may be missing from a store that was lost, or is not
// all there yet. Only the former may cost a Service its address.
type poolBook struct {
	pools      map[string]*v1beta1.IPAddressPool
	parsed     map[string]ipam.Pool // last usable form of each
	namespaces map[string]labels.Set
	// changed holds the pools that changed since they were last given to the allocator, and whether all of their
	// changes were seen happening.
	changed map[string]bool
	// unusable holds why the current form of a pool cannot be used.
	unusable map[string]error
}

func newPoolBook() *poolBook {
	return &poolBook{
		pools:      map[string]*v1beta1.IPAddressPool{},
		parsed:     map[string]ipam.Pool{},
		namespaces: map[string]labels.Set{},
		changed:    map[string]bool{},
		unusable:   map[string]error{},
	}
}

func (b *poolBook) mark(name string, seen bool) {
	before, marked := b.changed[name]
	b.changed[name] = seen && (before || !marked)
}

// put is a pool that was added or modified.
func (b *poolBook) put(p *v1beta1.IPAddressPool, seen bool) {
	old := b.pools[p.Name]
	b.pools[p.Name] = p
	if old == nil || !equality.Semantic.DeepEqual(old.Spec, p.Spec) {
		b.mark(p.Name, seen)
	}
}

func (b *poolBook) remove(name string, seen bool) {
	if b.pools[name] == nil {
		return
	}
	delete(b.pools, name)
	b.mark(name, seen)
}

// replace is the answer to a list. A pool that has moved on from the generation that was known is as good as a watch
// event: a store that was lost or restored cannot know the same object in a later state.
func (b *poolBook) replace(list []*v1beta1.IPAddressPool) {
	listed := map[string]bool{}
	for _, p := range list {
		listed[p.Name] = true
		old := b.pools[p.Name]
		b.put(p, old == nil || old.UID == p.UID && old.Generation < p.Generation)
	}
	for name := range b.pools {
		if !listed[name] {
			b.remove(name, false)
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
	for name, p := range b.pools {
		if p.Spec.AllocateTo != nil && len(p.Spec.AllocateTo.NamespaceSelectors) > 0 {
			b.mark(name, seen)
		}
	}
}

// take returns all pools for the allocator, and which of those that changed were seen changing. A pool that
// cannot be used as it is goes on as it was last usable.
func (b *poolBook) take() (pools []ipam.Pool, seen map[string]bool) {
	seen, b.changed = b.changed, map[string]bool{}
	for name := range seen {
		delete(b.unusable, name)
		p := b.pools[name]
		if p == nil {
			delete(b.parsed, name)
			continue
		}
		parsed, err := b.parse(p)
		if err != nil {
			b.unusable[name] = err
			continue
		}
		b.parsed[name] = parsed
	}
	for _, p := range b.parsed {
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
			return ipam.Pool{}, fmt.Errorf("IPAddressPool %q: %w", p.Name, err)
		}
		out.Ranges = append(out.Ranges, r)
	}
	to := p.Spec.AllocateTo
	if to == nil {
		return out, nil
	}
	namespaces, err := selectorsOf(to.NamespaceSelectors)
	services, err2 := selectorsOf(to.ServiceSelectors)
	if err := errors.Join(err, err2); err != nil {
		return ipam.Pool{}, fmt.Errorf("IPAddressPool %q: %w", p.Name, err)
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
