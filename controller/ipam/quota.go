package ipam

import (
	"cmp"
	"math"
	"slices"

	"github.com/google/btree"
)

// Quota limits how many addresses of a pool the Services of one namespace may hold. An address that several of them
// share counts once.
type Quota struct {
	// PerNamespace is the limit of every namespace without one of its own; negative for no limit.
	PerNamespace int64
	// Namespaces are those with a limit of their own.
	Namespaces map[string]int64
}

// limit of the namespace; ok is false where there is none.
func (p *Pool) limit(namespace string) (limit int64, ok bool) {
	if p.Quota == nil {
		return 0, false
	}
	if limit, ok = p.Quota.Namespaces[namespace]; ok {
		return limit, true
	}
	return p.Quota.PerNamespace, p.Quota.PerNamespace >= 0
}

// use is what one namespace holds of a pool.
type use struct {
	addresses int64
	// services are the holders' keys, in order; nil for pools without a quota.
	services *btree.BTreeG[string]
}

// enter counts an address that h has come to hold. alone says that no other Service of the namespace holds it.
func (p *pool) enter(h *holding, alone bool) {
	u := p.uses[h.service.Namespace]
	if u == nil {
		u = &use{}
		p.uses[h.service.Namespace] = u
	}
	if alone {
		u.addresses++
		p.ranking = nil
	}
	if p.Quota != nil {
		if u.services == nil {
			u.services = btree.NewOrderedG[string](degree)
		}
		u.services.ReplaceOrInsert(h.service.Key)
	}
}

// leave is the opposite; more says that h holds another address of the pool.
func (p *pool) leave(h *holding, alone, more bool) {
	u := p.uses[h.service.Namespace]
	if alone {
		u.addresses--
		p.ranking = nil
	}
	if u.addresses == 0 {
		delete(p.uses, h.service.Namespace)
		return
	}
	if u.services != nil && !more {
		u.services.Delete(h.service.Key)
	}
}

// used is how many addresses of the pool the namespace holds.
func (p *pool) used(namespace string) int64 {
	if u := p.uses[namespace]; u != nil {
		return u.addresses
	}
	return 0
}

// room is how many more addresses of p the namespace of s may come to hold.
func (p *pool) room(s Service) int64 {
	limit, ok := p.limit(s.Namespace)
	if !ok {
		return math.MaxInt64
	}
	return max(0, limit-p.used(s.Namespace))
}

// withinQuota refuses addresses that would take the namespace of s beyond its quota of p. What s holds already, and
// what others of its namespace hold, costs nothing; what it gives up in exchange makes room.
func (a *Allocator) withinQuota(p *pool, s Service, as []slotAt) error {
	limit, ok := p.limit(s.Namespace)
	if !ok {
		return nil
	}
	var more int64
	for _, at := range as {
		if at.slot == nil || !at.slot.has(s.Namespace) {
			more++
		}
	}
	if more == 0 {
		return nil
	}
	if h := a.holdings[s.Key]; h != nil {
		for _, addr := range h.Addrs {
			sl := a.slots[addr]
			kept := slices.ContainsFunc(as, func(at slotAt) bool { return at.addr == addr })
			if !kept && sl.block != nil && sl.block.pool == p && !sl.hasBeside(s.Namespace, h) {
				more--
			}
		}
	}
	if used := p.used(s.Namespace); more > 0 && used+more > limit {
		return p.quotaError(s.Namespace, limit)
	}
	return nil
}

// mostNamed is how many holders a sentence names.
const mostNamed = 3

func (p *pool) quotaError(namespace string, limit int64) *QuotaError {
	e := &QuotaError{Pool: p.Name, Namespace: namespace, Limit: limit, Used: p.used(namespace)}
	if u := p.uses[namespace]; u != nil && u.services != nil {
		u.services.Ascend(func(key string) bool {
			e.Holders = append(e.Holders, key)
			return len(e.Holders) < mostNamed
		})
		e.More = u.services.Len() - len(e.Holders)
	}
	return e
}

// Share is how many addresses of a pool the Services of a namespace hold.
type Share struct {
	Namespace string
	Addresses int64
}

// biggest are the namespaces that hold most of the pool. They are counted once for many who are refused.
func (p *pool) biggest() []Share {
	if p.ranking == nil {
		for namespace, u := range p.uses {
			share := Share{namespace, u.addresses}
			at, _ := slices.BinarySearchFunc(p.ranking, share, func(x, y Share) int {
				return cmp.Or(cmp.Compare(y.Addresses, x.Addresses), cmp.Compare(x.Namespace, y.Namespace))
			})
			if at < mostNamed {
				p.ranking = slices.Insert(p.ranking, at, share)
				p.ranking = p.ranking[:min(mostNamed, len(p.ranking))]
			}
		}
	}
	return p.ranking
}
