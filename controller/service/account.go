package service

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// account is what one term knows of the ledger: what it found there, and what it was granted and released since. It is
// guarded by the controller's mu.
type account struct {
	// entries are the addresses of each Service, as they were claimed.
	entries map[string]map[netip.Addr]terms
	// unfenced are the Services whose status somebody may still be about to write as it was decided once: a controller
	// before this one, or a request of ours that was not answered. Both were made for the present state of the object or an
	// earlier one, so that our next write, or the end of the Service, puts an end to it.
	unfenced map[string]bool
	// waiting are the Services that others keep from an address: those it is not released by yet.
	waiting  map[netip.Addr]map[string]bool
	refusals map[string]int // in a row
	// owed are the events of decisions whose claims have not been granted yet.
	owed map[string]owed
	// stalled are the Services whose claims could not be asked for.
	stalled map[string]bool
	// away is since when the ledger has not answered; zero while it does.
	away time.Time
	// past are addresses of which the ledger says who had them last.
	past map[netip.Addr]bool
}

// terms are what else a claim says of an address.
type terms struct {
	uid                         types.UID
	pool, sharing, backend, use string
}

type owed struct {
	addrs []netip.Addr
	notes []note
}

func newAccount() *account {
	return &account{
		entries: map[string]map[netip.Addr]terms{}, unfenced: map[string]bool{}, waiting: map[netip.Addr]map[string]bool{},
		refusals: map[string]int{}, owed: map[string]owed{}, stalled: map[string]bool{}, past: map[netip.Addr]bool{},
	}
}

// open takes in the ledger as it is; what was known before is forgotten. inherited says that it was written in terms
// before this one.
func (a *account) open(list []v1beta1.IPAllocation, inherited bool) error {
	a.entries = map[string]map[netip.Addr]terms{}
	for i := range list {
		spec := &list[i].Spec
		addr, err := netip.ParseAddr(spec.Address)
		if err != nil {
			return fmt.Errorf("IPAllocation %s: %w", list[i].Name, err)
		}
		for _, s := range spec.Services {
			key := s.Namespace + "/" + s.Name
			a.enter(key, addr, terms{s.UID, spec.Pool, spec.SharingKey, spec.BackendKey, use(s.Ports)})
			if inherited {
				a.unfenced[key] = true
			}
		}
	}
	return nil
}

func use(ports []v1beta1.AllocatedPort) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, "%s/%d ", p.Protocol, p.Port)
	}
	return b.String()
}

func (a *account) enter(key string, addr netip.Addr, t terms) {
	if a.entries[key] == nil {
		a.entries[key] = map[netip.Addr]terms{}
	}
	a.entries[key][addr] = t
}

func (a *account) strike(key string, addr netip.Addr) {
	delete(a.entries[key], addr)
	if len(a.entries[key]) == 0 {
		delete(a.entries, key)
	}
}

// addresses is the number of different ones.
func (a *account) addresses() int64 {
	all := map[netip.Addr]bool{}
	for _, held := range a.entries {
		for addr := range held {
			all[addr] = true
		}
	}
	return int64(len(all))
}

// claimOf is the claim of what the Service shall hold.
func claimOf(svc *corev1.Service, as ipam.Assignment, facts ipam.Service) v1beta1.ServiceClaim {
	claim := v1beta1.ServiceClaim{
		Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID, SharingKey: facts.SharingKey, BackendKey: facts.BackendKey,
		Pool: as.Pool, Kept: as.Kept, Addresses: texts(as.Addrs),
	}
	for _, p := range facts.Ports {
		claim.Ports = append(claim.Ports, v1beta1.AllocatedPort{Protocol: p.Protocol, Port: int32(p.Number)})
	}
	return claim
}

func termsOf(c *v1beta1.ServiceClaim) terms {
	return terms{c.UID, c.Pool, c.SharingKey, c.BackendKey, use(c.Ports)}
}

func addrsOf(list []string) []netip.Addr {
	addrs := make([]netip.Addr, len(list))
	for i, text := range list {
		addrs[i] = netip.MustParseAddr(text)
	}
	return addrs
}

// has says whether the ledger has all of a claim.
func (a *account) has(c *v1beta1.ServiceClaim) bool {
	held, t := a.entries[c.Namespace+"/"+c.Name], termsOf(c)
	return !slices.ContainsFunc(c.Addresses, func(text string) bool {
		entered, ok := held[netip.MustParseAddr(text)]
		return !ok || entered != t
	})
}

// surplus are the addresses that the ledger has of a Service beside those that it shall hold.
func (a *account) surplus(key string, addrs []netip.Addr) (more []netip.Addr) {
	for addr := range a.entries[key] {
		if !slices.Contains(addrs, addr) {
			more = append(more, addr)
		}
	}
	slices.SortFunc(more, netip.Addr.Compare)
	return more
}

// granted enters what was granted, and returns the Services that may now have better luck.
func (a *account) granted(c *v1beta1.ServiceClaim) (lucky []string) {
	key, t := c.Namespace+"/"+c.Name, termsOf(c)
	for _, text := range c.Release {
		addr := netip.MustParseAddr(text)
		a.strike(key, addr)
		a.past[addr] = true
		lucky = append(lucky, a.called(addr)...)
	}
	for _, text := range c.Addresses {
		addr := netip.MustParseAddr(text)
		a.enter(key, addr, t)
		lucky = append(lucky, a.called(addr)...)
	}
	return lucky
}

// called are those who wait for an address, who then do no longer.
func (a *account) called(addr netip.Addr) []string {
	keys := slices.Sorted(maps.Keys(a.waiting[addr]))
	delete(a.waiting, addr)
	return keys
}

// refused enters who is in the way of a claim: what the ledger has of them is not what they are, or they are no more. It
// returns them.
func (a *account) refused(c *v1beta1.ServiceClaim, r *v1beta1.ServiceClaimResult) (holders []string, err error) {
	addr, err := netip.ParseAddr(r.Address)
	if err != nil {
		return nil, fmt.Errorf("the ledger's answer: %w", err)
	}
	if a.waiting[addr] == nil {
		a.waiting[addr] = map[string]bool{}
	}
	a.waiting[addr][c.Namespace+"/"+c.Name] = true
	for _, s := range r.Holders {
		key := s.Namespace + "/" + s.Name
		if _, known := a.entries[key][addr]; !known {
			a.enter(key, addr, terms{}) // by whom, and as what, is for the ledger to know
			a.unfenced[key] = true
		}
		holders = append(holders, key)
	}
	return holders, nil
}

// owes keeps the events of a decision until its claim is granted.
func (a *account) owes(key string, out outcome) {
	if len(out.notes) == 0 {
		delete(a.owed, key)
		return
	}
	a.owed[key] = owed{out.addrs, out.notes}
}

// paid are the events of a decision together with those of decisions before it that have led to nothing yet. That an
// address was assigned which the Service did not get is not told.
func (a *account) paid(key string, out outcome) []note {
	before, ok := a.owed[key]
	delete(a.owed, key)
	if !ok {
		return out.notes
	}
	if !sameSet(before.addrs, out.addrs) {
		before.notes = slices.DeleteFunc(before.notes, func(n note) bool { return n.reason == ipAllocated })
	}
	return append(before.notes, out.notes...)
}

// remembered are those of the ledger's tales of former holders that the allocator can use.
func (a *account) remembered(past []v1beta1.PastAllocation) (list []ipam.Past) {
	for _, p := range past {
		addr, err := netip.ParseAddr(p.Address)
		if err != nil {
			continue // of no use to anybody, and forgotten with the next that are
		}
		a.past[addr] = true
		list = append(list, ipam.Past{Addr: addr, Key: p.Namespace + "/" + p.Name, Released: p.Released.Time})
	}
	return list
}

// forgotten are the addresses whose past the ledger keeps and the allocator does not.
func (a *account) forgotten(kept []ipam.Past) []string {
	stale := maps.Clone(a.past)
	for _, p := range kept {
		delete(stale, p.Addr)
	}
	return texts(slices.SortedFunc(maps.Keys(stale), netip.Addr.Compare))
}

// withdrawn is the annotation by which a write of a Service's status, that changes nothing else, puts an end to writes of
// others (unfenced): the addresses that the Service was not given after all, and when.
const withdrawn = "ingot.io/withdrawn"

// fence is svc with that annotation.
func fence(svc *corev1.Service, addrs []netip.Addr) *corev1.Service {
	next := svc.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, withdrawn, strings.Join(texts(addrs), ",")+" at "+time.Now().UTC().Format(time.RFC3339Nano))
	return next
}
