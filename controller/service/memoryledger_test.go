package service

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/apiserver/ledger"
)

// memoryLedger is a ledger in memory, which the controllers of one test share.
type memoryLedger struct {
	mu          sync.Mutex
	term        int64
	entries     ledger.Entries
	past        map[string]metallb.PastAllocation
	established bool
	writes      int // of claims
	fail        error
	// before is called with each request of claims before it is answered, and after once it is done; an error of after is
	// the answer.
	before, after func(*metallb.IPAllocationClaimSpec) error
}

func newMemoryLedger() *memoryLedger {
	return &memoryLedger{entries: ledger.Entries{}, past: map[string]metallb.PastAllocation{}}
}

func anywhere(*metallb.ServiceClaim, netip.Addr) (metallb.ClaimResult, string) {
	return metallb.ClaimGranted, ""
}

// Claim implements Ledger.
func (l *memoryLedger) Claim(_ context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	claim := &metallb.IPAllocationClaim{}
	if err := v1beta1.Convert_v1beta1_IPAllocationClaim_To_metallb_IPAllocationClaim(&v1beta1.IPAllocationClaim{Spec: request}, claim, nil); err != nil {
		return nil, err
	}
	spec, status := &claim.Spec, &claim.Status
	if errs := ledger.Validate(spec); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	hook := func(of *func(*metallb.IPAllocationClaimSpec) error) error {
		l.mu.Lock()
		call := *of
		l.mu.Unlock()
		if call == nil || len(spec.Services) == 0 {
			return nil
		}
		return call(spec)
	}
	if err := hook(&l.before); err != nil {
		return nil, err
	}
	if err := l.answer(spec, status); err != nil {
		return nil, err
	}
	if err := hook(&l.after); err != nil {
		return nil, err
	}
	answer := &v1beta1.IPAllocationClaim{}
	return &answer.Status, v1beta1.Convert_metallb_IPAllocationClaim_To_v1beta1_IPAllocationClaim(claim, answer, nil)
}

func (l *memoryLedger) answer(spec *metallb.IPAllocationClaimSpec, status *metallb.IPAllocationClaimStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fail != nil:
		return l.fail
	case spec.Term == 0:
		l.term++
		status.Past = slices.Collect(maps.Values(l.past))
	case spec.Term != l.term:
		return ErrTermEnded
	case spec.Renew:
		l.term++
	}
	for i := range spec.Services {
		c := &spec.Services[i]
		before := maps.Clone(l.entries)
		result, _ := l.entries.Apply(c, anywhere, time.Now())
		for _, a := range ledger.Addresses(c) {
			if l.entries[a] != before[a] {
				l.writes++
			}
			if l.entries[a] == nil && before[a] != nil {
				l.past[a.String()] = metallb.PastAllocation{Address: a.String(), Namespace: c.Namespace, Name: c.Name, Released: metav1.Now()}
			}
			if l.entries[a] == nil {
				delete(l.entries, a)
			} else {
				delete(l.past, a.String())
			}
		}
		status.Services = append(status.Services, result)
	}
	for _, a := range spec.Forget {
		delete(l.past, a)
	}
	l.established = l.established || spec.Establish
	status.Term, status.Established, status.Allocations = l.term, l.established, int64(len(l.entries))
	return nil
}

// List implements Ledger.
func (l *memoryLedger) List(context.Context) ([]v1beta1.IPAllocation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []v1beta1.IPAllocation
	for _, a := range l.entries {
		var out v1beta1.IPAllocation
		if err := v1beta1.Convert_metallb_IPAllocation_To_v1beta1_IPAllocation(a, &out, nil); err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	return list, l.fail
}

// holders are, by address, the Services that hold it: "a,b".
func (l *memoryLedger) holders() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]string{}
	for a, e := range l.entries {
		for i, s := range e.Spec.Services {
			if i > 0 {
				all[a.String()] += ","
			}
			all[a.String()] += s.Name
		}
	}
	return all
}

// set changes the ledger behind the controller's back.
func (l *memoryLedger) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}
