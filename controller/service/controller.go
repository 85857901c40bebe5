// Package service gives addresses to Services of type LoadBalancer: it watches Services, namespaces and
// pools, decides with package ipam, and writes each decision to the Service's status, together with the
// annotation that names the pool and events that say why.
//
// What it promises beyond MetalLB's behaviour (spec.md section 4): an address moves because of its Service, or
// because its pool was seen to change, and for no other reason. Pools that are missing from a list, at the start or
// after a connection was lost, take nothing away. Only what changes is written: a restart with everything settled
// writes nothing, and a freed address causes only waiting Services to be looked at again.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// Options say what a Controller works with.
type Options struct {
	Client kubernetes.Interface
	// Pools is a client of group version metallb.io/v1beta1 (NewPoolClient).
	Pools     rest.Interface
	Namespace string // of the pools
	Class     string // handle Services of this loadBalancerClass only; empty: those without
	// UnknownPools says what becomes of Services that ask for a pool that does not exist; empty: UnknownPoolFallback.
	UnknownPools UnknownPools
	// Ledger is where addresses are claimed.
	Ledger Ledger
	// Identity is our name in the Lease, which then says what was made of the configuration; empty: there is none.
	Identity string
	Log      *slog.Logger

	// CatchUp is how long a Preview waits, at most, until it has heard of the configuration that the server has; 0: catchUp.
	CatchUp time.Duration

	// awayGrace is how long the ledger may be away before the Services that wait for it are told; 0: awayGrace.
	awayGrace time.Duration
	// evictionGrace is how long an address waits that its pool gave up; 0: evictionGrace.
	evictionGrace time.Duration
	// secondLook is how long a Preview waits for what other Services hold to be given up; 0: secondLook.
	secondLook time.Duration
}

const (
	// writers are how many statuses are written at once, and workers how many Services are dealt with: the others wait for
	// the ledger meanwhile, which answers many at a time.
	writers      = 8
	workers      = 4 * writers
	eventWorkers = 4
	writeTimeout = 10 * time.Second
	// evictionGrace is how long an address that its pool gave up waits for another pool to take it up, so that a
	// range can move between pools, and a pool can be renamed, by two writes.
	evictionGrace = 2 * time.Second
)

// Controller is the shell: it listens, asks the desk, and writes.
type Controller struct {
	Options
	counters counters
	claims   claimMetrics
	// awayRate bounds how many Services are told that the ledger is away.
	awayRate flowcontrol.RateLimiter
	// begun is set once this replica has stood in office; loaded once it has read a configuration.
	begun, loaded atomic.Bool
	// unread is what a term that has not begun to work waits for.
	unread atomic.Pointer[string]

	mu       sync.Mutex
	services map[string]*corev1.Service
	// missing are Services that were not in the last list, until the server has been asked about each.
	missing map[string]bool
	desk    *desk
	book    *poolBook
	// nextLayout is when changes of pools may be looked at again.
	nextLayout time.Time
	// pending maps the Services that wait for an address to their place in the queue.
	pending  map[string]uint64
	arrivals uint64
	synced   bool
	queue    workqueue.TypedRateLimitingInterface[string]
	events   *eventWriter
	account  *account
	teller   *teller
	writes   chan struct{} // has room for those who write

	reservations *reservationBook
	alarm        *time.Timer // for the end of the next address's rest, at alarmAt
	alarmAt      time.Time

	poolStatusDue chan struct{}
	reportDue     chan struct{}
}

// New returns a controller that does nothing until Run.
func New(o Options) *Controller {
	c := &Controller{
		Options: o, writes: make(chan struct{}, writers), poolStatusDue: make(chan struct{}, 1), reportDue: make(chan struct{}, 1),
		claims: newClaimMetrics(), awayRate: flowcontrol.NewTokenBucketRateLimiter(mostTold, mostTold),
	}
	c.reset()
	return c
}

// applyPools is the queue's word for "the pools changed"; other items are keys of Services, which have a slash.
const applyPools = "pools"

func (c *Controller) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services, c.missing = map[string]*corev1.Service{}, map[string]bool{}
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.alarm, c.alarmAt = nil, time.Time{}
	c.desk = newDesk(c.Class, c.Log)
	c.desk.unknownPools = c.UnknownPools
	c.book = newPoolBook()
	c.reservations = newReservationBook()
	c.pending = map[string]uint64{}
	c.account = newAccount()
	c.synced, c.nextLayout = false, time.Time{}
	c.events = newEventWriter(c.Client, c.Log)
}

// Run serves until ctx ends, or another controller has begun its term at the ledger. It begins from nothing: all state is
// read anew, so that it may be called once for every term of leadership. It waits for the servers for as long as it takes.
func (c *Controller) Run(ctx context.Context) error {
	c.reset()
	c.begun.Store(true)
	defer c.reset()
	c.mu.Lock()
	c.queue = workqueue.NewTypedRateLimitingQueue(newLimiter())
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.queue.ShutDown()
	defer cancel()

	// The term begins before the Services are read: what is decided in a term before it comes to nothing, or is in
	// the ledger now.
	c.teller = &teller{c: c, asks: make(chan ask), lost: cancel}
	for range eventWorkers {
		wg.Go(func() { c.events.run(ctx) })
	}
	past, err := c.beginTerm(ctx)
	if err != nil {
		return nil // ctx has ended
	}

	services := newFeed(c.replaceServices, c.putService, c.removeService)
	namespaces := newFeed(c.replaceNamespaces, c.putNamespace, c.removeNamespace)
	pools := newFeed(c.replacePools, c.putPool, c.removePool)
	legacyPools := newFeed(c.replaceLegacyPools, c.putLegacyPool, c.removeLegacyPool)
	reservations := newFeed(c.replaceReservations, c.putReservation, c.removeReservation)
	core := c.Client.CoreV1().RESTClient()
	wg.Go(func() { services.run(ctx, core, "services", "", &corev1.Service{}) })
	wg.Go(func() { namespaces.run(ctx, core, "namespaces", "", &corev1.Namespace{}) })
	wg.Go(func() { pools.run(ctx, c.Pools, "ipaddresspools", c.Namespace, &v1beta1.IPAddressPool{}) })
	wg.Go(func() { legacyPools.run(ctx, c.Pools, "addresspools", c.Namespace, &v1beta1.AddressPool{}) })
	wg.Go(func() {
		reservations.run(ctx, c.Pools, "ipreservations", c.Namespace, &v1beta1.IPReservation{})
	})
	for _, first := range []struct {
		what   string
		synced chan struct{}
	}{
		{"IPAddressPools", pools.synced}, {"AddressPools", legacyPools.synced}, {"IPReservations", reservations.synced},
		{"Namespaces", namespaces.synced}, {"Services", services.synced},
	} {
		c.unread.Store(&first.what)
		select {
		case <-first.synced:
		case <-ctx.Done():
			return nil
		}
	}

	c.begin(past)
	wg.Go(func() { c.teller.run(ctx) })
	for range workers {
		wg.Go(func() { c.work(ctx) })
	}
	wg.Go(func() { c.keepPoolStatus(ctx) })
	wg.Go(func() { c.keepReport(ctx) })
	<-ctx.Done()
	return nil
}

// beginTerm waits until our term at the ledger has begun, and tells newcomers meanwhile.
func (c *Controller) beginTerm(ctx context.Context) ([]v1beta1.PastAllocation, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	begun, begin := context.WithCancel(ctx)
	defer begin()
	wg.Go(func() { c.tellNewcomers(begun) })
	return c.teller.begin(ctx)
}

// begin takes over all assignments before anybody new is served: those with more addresses first (spec.md section
// 4.9), then the older Service, so that of two that claim one address the same one keeps it every time. But who has in the
// ledger what it shows has it before all others.
func (c *Controller) begin(past []v1beta1.PastAllocation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick()
	c.refresh()
	all := inOrderOfClaims(c.services)
	for _, claimed := range []bool{true, false} {
		for _, svc := range all {
			if c.claimed(svc) == claimed {
				c.desk.reserve(svc)
			}
		}
	}
	c.resumeClaims(all)
	c.desk.ips.Remember(c.account.remembered(past))
	c.synced = true
	c.loaded.Store(true)
	c.tick()
	for _, svc := range all {
		c.queue.Add(keyOf(svc))
	}
	c.compareAll()
	c.Log.Info("took over assignments", "event", "stateSynced", "services", len(all), "pools", len(c.book.parsed))
	c.duePoolStatus()
	c.dueReport()
}

// inOrderOfClaims sorts Services so that of two that claim one address the first one has it.
func inOrderOfClaims(services map[string]*corev1.Service) []*corev1.Service {
	return slices.SortedFunc(maps.Values(services), func(a, b *corev1.Service) int {
		return cmp.Or(
			cmp.Compare(len(b.Status.LoadBalancer.Ingress), len(a.Status.LoadBalancer.Ingress)),
			a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time),
			cmp.Compare(keyOf(a), keyOf(b)))
	})
}

func (c *Controller) work(ctx context.Context) {
	for {
		key, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		c.counters.updates.Add(1)
		c.Log.Debug("reconciling", "controller", "ServiceReconciler", "start reconcile", key)
		if err := c.process(ctx, key); err == nil {
			c.queue.Forget(key)
		} else if errors.Is(err, errHeld) {
			c.queue.AddRateLimited(key) // should nobody call it
		} else if ctx.Err() == nil {
			c.counters.errors.Add(1)
			c.Log.Warn("will try again", "op", "updateService", "service", key, "error", err)
			c.queue.AddRateLimited(key)
		}
		c.Log.Debug("reconciled", "controller", "ServiceReconciler", "end reconcile", key)
		c.queue.Done(key)
	}
}

// note keeps the books after a decision. The caller holds mu.
func (c *Controller) note(key string, out outcome) {
	_, waits := c.pending[key]
	switch {
	case !out.pending:
		delete(c.pending, key)
	case !waits:
		c.arrivals++
		c.pending[key] = c.arrivals
	}
	if out.roomMade {
		c.retryPending()
	}
	c.duePoolStatus()
}

// retryPending looks again at those who wait, and at nobody else, in the order in which they came.
// The caller holds mu.
func (c *Controller) retryPending() {
	if !c.synced {
		return
	}
	keys := slices.SortedFunc(maps.Keys(c.pending), func(a, b string) int { return cmp.Compare(c.pending[a], c.pending[b]) })
	for _, key := range keys {
		c.queue.Add(key)
	}
}

// refresh gives the allocator the configuration as it is now. The caller holds mu.
func (c *Controller) refresh() {
	c.refreshPools()
	c.refreshReservations()
}

// refreshPools gives the allocator the pools as they are now. The caller holds mu.
func (c *Controller) refreshPools() {
	if len(c.book.changed) == 0 || c.layoutPause() > 0 {
		return
	}
	defer c.laidOut(time.Now())
	pools, seen := c.book.take()
	for key, err := range c.book.unusable {
		if _, changed := seen[key.name]; changed {
			c.Log.Error("failed to parse the configuration, going on with the last usable one", "controller", "PoolReconciler", "op", "setPools", "error", err)
		}
	}
	lost, renamed := c.desk.ips.SetPools(pools)
	for _, key := range renamed {
		c.queue.Add(key)
	}
	doomed := map[string]bool{}
	for _, l := range lost {
		if seen[l.Assignment.Pool] {
			doomed[l.Key] = true
			continue
		}
		c.Log.Warn("keeping an address that no pool allows any longer: its pool was not seen to change", "event", "assignmentKept",
			"service", l.Key, "ip", texts(l.Assignment.Addrs), "pool", l.Assignment.Pool, "error", l.Err)
	}
	if len(doomed) > 0 {
		time.AfterFunc(cmp.Or(c.evictionGrace, evictionGrace), func() { c.evict(doomed) })
	}
	c.retryPending()
	c.duePoolStatus()
	c.dueReport()
}

// evict lets the Services lose addresses that no pool has taken up meanwhile.
func (c *Controller) evict(doomed map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synced {
		return // another term, which starts from nothing
	}
	for _, key := range slices.Sorted(maps.Keys(doomed)) {
		held, holds := c.desk.ips.Holding(key)
		if svc := c.services[key]; holds && held.Kept && svc != nil {
			c.desk.record(svc).evict = true
			c.queue.Add(key)
		}
	}
}

// Ready is nil while the controller is at work.
func (c *Controller) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synced {
		if what := c.unread.Load(); what != nil {
			return fmt.Errorf("the %s have not been read yet", *what)
		}
		return errors.New("nothing has been read yet")
	}
	return nil
}
