package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// ErrStale says that what the answer depends on is not known as it is now.
var ErrStale = errors.New("the state of the cluster is not known well enough")

const (
	// staleAfter is how long the servers may fail to answer before nothing is said any longer.
	staleAfter = 2 * time.Second
	// catchUp is how long what was heard of the configuration may take to become what the server has.
	catchUp = time.Second
	// secondLook is for how long the looks are repeated by which other Services are in the way: that one was deleted a
	// moment ago may not have been heard of. lookPause is between two of them.
	secondLook = 150 * time.Millisecond
	lookPause  = 30 * time.Millisecond
)

// Preview says what the controller would say of a Service if it were written. It listens as the controller does, takes
// what Services show in their status for what they hold, asks the same desk, and writes nothing.
type Preview struct {
	Options
	feeds  []feedState
	rounds rounds

	mu           sync.Mutex
	desk         *desk
	services     map[string]*corev1.Service // of our class
	book         *poolBook
	reservations *reservationBook
	synced       bool
	heard        uint64 // counts what is heard of Services
}

// feedState is what is asked of a feed, whatever it is of.
type feedState interface{ stale(time.Duration) bool }

// NewPreview returns one that answers ErrStale until Run has read everything.
func NewPreview(o Options) *Preview {
	p := &Preview{
		Options: o, desk: newDesk(o.Class, slog.New(slog.DiscardHandler)), services: map[string]*corev1.Service{},
		book: newPoolBook(), reservations: newReservationBook(),
	}
	p.desk.unknownPools = o.UnknownPools
	return p
}

// Run listens until ctx ends. It waits for the servers for as long as it takes.
func (p *Preview) Run(ctx context.Context) error {
	services := newFeed(p.replaceServices, p.putService, p.removeService)
	namespaces := newFeed(locked(p, p.bookNamespaces), locked(p, p.bookNamespace), locked(p, p.strikeNamespace))
	pools := newFeed(locked(p, func(l []*v1beta1.IPAddressPool) { p.book.replace(l) }),
		locked(p, func(o *v1beta1.IPAddressPool) { p.book.put(o, true) }),
		locked(p, func(o *v1beta1.IPAddressPool) { p.book.remove(o.Name, true) }))
	legacy := newFeed(locked(p, p.bookLegacyPools), locked(p, p.bookLegacyPool),
		locked(p, func(o *v1beta1.AddressPool) { p.book.strike(poolKey{o.Name, true}, true) }))
	reservations := newFeed(locked(p, func(l []*v1beta1.IPReservation) { p.reservations.replace(l) }),
		locked(p, func(o *v1beta1.IPReservation) { p.reservations.put(o) }),
		locked(p, func(o *v1beta1.IPReservation) { p.reservations.remove(o.Name) }))
	p.mu.Lock()
	p.feeds = []feedState{services, namespaces, pools, legacy, reservations}
	p.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	core := p.Client.CoreV1().RESTClient()
	wg.Go(func() { services.run(ctx, core, "services", "", &corev1.Service{}) })
	wg.Go(func() { namespaces.run(ctx, core, "namespaces", "", &corev1.Namespace{}) })
	wg.Go(func() { pools.run(ctx, p.Pools, "ipaddresspools", p.Namespace, &v1beta1.IPAddressPool{}) })
	wg.Go(func() { legacy.run(ctx, p.Pools, "addresspools", p.Namespace, &v1beta1.AddressPool{}) })
	wg.Go(func() { reservations.run(ctx, p.Pools, "ipreservations", p.Namespace, &v1beta1.IPReservation{}) })
	for _, synced := range []chan struct{}{pools.synced, legacy.synced, reservations.synced, namespaces.synced, services.synced} {
		select {
		case <-synced:
		case <-ctx.Done():
			return nil
		}
	}
	p.begin()
	<-ctx.Done()
	return nil
}

// begin takes over what all Services hold, in the controller's order.
func (p *Preview) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	for _, svc := range inOrderOfClaims(p.services) {
		p.settle(svc)
	}
	p.synced = true
	p.Log.Info("services and pools have been read", "event", "stateSynced", "services", len(p.services), "pools", len(p.book.parsed))
}

// Ready is nil once everything has been read.
func (p *Preview) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced {
		return fmt.Errorf("services and pools have not been read yet")
	}
	return nil
}

// refresh gives the allocator configuration and time as they are now. The caller holds mu.
func (p *Preview) refresh() {
	p.desk.ips.Advance(time.Now())
	if len(p.book.changed) > 0 {
		pools, _ := p.book.take()
		p.desk.ips.SetPools(pools)
	}
	if p.reservations.changed {
		p.desk.ips.SetReservations(p.reservations.take())
	}
}

// settle makes the Service hold what it shows, and nothing else. The caller holds mu.
func (p *Preview) settle(svc *corev1.Service) {
	req, _ := newRequest(svc) // what is wrong with it is for those who ask
	if foreign, err := p.desk.takeOver(svc, req.facts); foreign || err != nil || len(ingressAddrs(svc)) == 0 {
		p.desk.ips.Release(req.facts.Key)
	}
}

func (p *Preview) ours(svc *corev1.Service) bool {
	return svc != nil && svc.Spec.Type == corev1.ServiceTypeLoadBalancer && p.desk.ofOurClass(svc)
}

// Review says what is wrong with svc, which takes the place of old, nil for none; nothing where it is not ours. enforce
// is the label of its namespace. The error is ErrStale, or ctx's.
func (p *Preview) Review(ctx context.Context, old, svc *corev1.Service) (found []Finding, enforce bool, err error) {
	if !p.ours(svc) {
		return nil, false, nil
	}
	found, enforce, err = p.look(old, svc)
	if err != nil || len(found) == 0 {
		return nil, enforce, err
	}
	// Somebody is about to be told that something is wrong: it had better be true.
	if err := p.confirm(ctx); err != nil {
		return nil, enforce, err
	}
	return p.lookAgain(ctx, old, svc)
}

// lookAgain looks until no other Services are in the way, or until it is clear that they are.
func (p *Preview) lookAgain(ctx context.Context, old, svc *corev1.Service) (found []Finding, enforce bool, err error) {
	began, heard := time.Now(), p.hears()
	found, enforce, err = p.look(old, svc)
	for err == nil && slices.ContainsFunc(found, func(f Finding) bool { return f.ofServices }) && time.Since(began) < cmp.Or(p.secondLook, secondLook) {
		if err := backoff.Sleep(ctx, lookPause); err != nil {
			return nil, enforce, err
		}
		if now := p.hears(); now != heard {
			heard = now
			found, enforce, err = p.look(old, svc)
		}
	}
	return found, enforce, err
}

func (p *Preview) hears() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// EnforceLabel is the label of namespaces, with the value "true", in which what is wrong is refused.
const EnforceLabel = "ingot.io/enforce"

func (p *Preview) look(old, svc *corev1.Service) (found []Finding, enforce bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced || slices.ContainsFunc(p.feeds, func(f feedState) bool { return f.stale(staleAfter) }) {
		return nil, false, ErrStale
	}
	p.refresh()
	enforce = p.book.namespaces[svc.Namespace][EnforceLabel] == "true"
	found = p.findings(svc)
	if len(found) == 0 {
		return nil, enforce, nil
	}
	var before []Finding
	if p.ours(old) {
		before = p.findings(old)
	}
	for i := range found {
		f := &found[i]
		f.New = !slices.ContainsFunc(before, func(b Finding) bool { return b.Field == f.Field && b.cause == f.cause })
	}
	return found, enforce, nil
}

// findings asks the desk. The caller holds mu.
func (p *Preview) findings(svc *corev1.Service) []Finding {
	found := contradictions(svc)
	key := keyOf(svc)
	var out outcome
	p.desk.ips.Try(key, func() { out = p.desk.decide(svc) })
	delete(p.desk.records, key)
	waits := false
	for _, f := range out.failures {
		var unknown *ipam.UnknownPoolError
		if !p.desk.ips.HasPools() && (errors.Is(f.err, ipam.ErrExhausted) || errors.Is(f.err, ipam.ErrNotAllowed) || errors.As(f.err, &unknown)) {
			waits = true
			continue
		}
		finding := findingOf(svc, f)
		if !slices.ContainsFunc(found, func(o Finding) bool { return o.cause == finding.cause }) {
			found = append(found, finding)
		}
	}
	if waits {
		found = append(found, Finding{Reason: reasonNoPool, Field: typeField, Value: string(svc.Spec.Type), Advice: true,
			Sentence: "there is no IPAddressPool yet, so that this Service has to wait for one", cause: reasonNoPool})
	}
	return found
}
