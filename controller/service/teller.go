package service

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// mostClaims go to the ledger in one request.
	mostClaims = 100
	// mostBytes is about how long a request may be, for a server takes 3 MiB. The ports and keys of Services are as long as
	// their authors like, and must not keep others from their addresses.
	mostBytes = 1 << 20
	// beat is how often the ledger is asked whether it is as this term left it. As long as it is not known to be complete it
	// is asked more often, at first after eagerBeat.
	beat, eagerBeat = 3 * time.Second, 200 * time.Millisecond
	// claimTimeout bounds one request.
	claimTimeout = 10 * time.Second
)

// teller talks to the ledger, one request at a time, for all who have claims: while one is under way, those of the others
// gather for the next. It is made for one term.
type teller struct {
	c    *Controller
	asks chan ask
	lost context.CancelFunc // ends the term

	// What follows is its goroutine's own.
	term int64
	// doubtful is set when a request was not answered: before the next one a term is begun, so that it can do nothing any
	// more if it has not already, and the ledger is read.
	doubtful bool
	failing  bool
	eager    time.Duration // until the next beat, as long as the ledger is not complete
}

type ask struct {
	claim  v1beta1.ServiceClaim
	answer chan<- answer // has room for it
}

type answer struct {
	result v1beta1.ServiceClaimResult
	err    error
}

// claim asks the ledger and waits for the answer. What is granted is in the account then.
func (t *teller) claim(ctx context.Context, claim v1beta1.ServiceClaim) (v1beta1.ServiceClaimResult, error) {
	answered := make(chan answer, 1)
	select {
	case t.asks <- ask{claim, answered}:
	case <-ctx.Done():
		return v1beta1.ServiceClaimResult{}, ctx.Err()
	}
	select {
	case a := <-answered:
		return a.result, a.err
	case <-ctx.Done():
		return v1beta1.ServiceClaimResult{}, ctx.Err()
	}
}

// begin begins a term and reads the ledger into the account. It tries until ctx ends.
func (t *teller) begin(ctx context.Context) (past []v1beta1.PastAllocation, err error) {
	retry := backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
	for {
		began := time.Now()
		status, err := t.send(ctx, v1beta1.IPAllocationClaimSpec{Identity: t.c.Identity})
		if err == nil {
			t.term = status.Term
			if err = t.read(ctx, true); err == nil {
				t.c.setAway(time.Time{})
				t.c.Log.Info("our term at the ledger begins", "event", "ledgerTerm", "term", t.term)
				return status.Past, nil
			}
		}
		if ctx.Err() == nil {
			t.c.setAway(began)
			t.c.Log.Warn("the ledger of addresses cannot be read, will try again", "op", "beginTerm", "error", err)
		}
		if err := retry.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (t *teller) send(ctx context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	request.Identity = t.c.Identity
	return t.c.Ledger.Claim(ctx, request)
}

// read has the account begin anew with the ledger as it is.
func (t *teller) read(ctx context.Context, inherited bool) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	list, err := t.c.Ledger.List(ctx)
	if err != nil {
		return err
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if err := t.c.account.open(list, inherited); err != nil {
		return err
	}
	t.c.compareAll()
	return nil
}

// run serves until ctx ends.
func (t *teller) run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-t.asks:
			t.serve(ctx, t.gather(first))
		case <-next.C:
			next.Reset(t.beat(ctx))
		}
	}
}

// gather takes the claims that wait already. Releases come first: what they free may be what others claim.
func (t *teller) gather(first ask) []ask {
	batch := []ask{first}
	for len(batch) < mostClaims {
		select {
		case more := <-t.asks:
			batch = append(batch, more)
			continue
		default:
		}
		break
	}
	slices.SortStableFunc(batch, func(a, b ask) int { return cmp.Compare(len(a.claim.Addresses), len(b.claim.Addresses)) })
	return batch
}

// serve answers all, in one request unless that would be long.
func (t *teller) serve(ctx context.Context, batch []ask) {
	for len(batch) > 0 {
		n, size := 0, 0
		for n < len(batch) && (n == 0 || size+sizeOf(&batch[n].claim) <= mostBytes) {
			size += sizeOf(&batch[n].claim)
			n++
		}
		t.ask(ctx, batch[:n])
		batch = batch[n:]
	}
}

// sizeOf is about how many bytes a claim takes.
func sizeOf(c *v1beta1.ServiceClaim) int {
	return 1000 + len(c.SharingKey) + len(c.BackendKey) + 40*len(c.Ports)
}

func (t *teller) ask(ctx context.Context, batch []ask) {
	request := v1beta1.IPAllocationClaimSpec{}
	for _, a := range batch {
		request.Services = append(request.Services, a.claim)
	}
	status, err := t.request(ctx, request)
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for i, a := range batch {
		if err != nil {
			a.answer <- answer{err: err}
			continue
		}
		result := status.Services[i]
		if result.Result == v1beta1.ClaimGranted {
			for _, key := range t.c.account.granted(&a.claim) {
				t.c.queue.Add(key)
			}
			t.c.released(a.claim.Namespace+"/"+a.claim.Name, addrsOf(a.claim.Release))
		}
		a.answer <- answer{result: result}
	}
}

// request asks in our term. Errors are said once for as long as they go on; when they end, those who could not ask are
// looked at again.
func (t *teller) request(ctx context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	began := time.Now()
	status, err := t.inTerm(ctx, request)
	t.c.claims.answered(request.Services, status, time.Since(began))
	switch {
	case err == nil:
		if t.failing {
			t.failing = false
			t.c.setAway(time.Time{})
			t.c.Log.Info("the ledger of addresses answers again", "event", "ledgerAvailable", "term", t.term)
			t.c.resume()
		}
	case errors.Is(err, ErrTermEnded):
		t.c.Log.Warn("another controller works: giving up", "event", "ledgerTermEnded", "term", t.term, "error", err)
		t.lost()
	default:
		t.doubtful = true
		if !t.failing && ctx.Err() == nil {
			t.c.setAway(began)
			t.c.Log.Warn("the ledger of addresses does not answer; services stay as they are", "event", "ledgerUnavailable", "error", err)
		}
		t.failing = true
	}
	return status, err
}

func (t *teller) inTerm(ctx context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	if t.doubtful {
		status, err := t.send(ctx, v1beta1.IPAllocationClaimSpec{Term: t.term, Renew: true})
		if err != nil {
			return nil, err
		}
		t.term = status.Term
		if err := t.read(ctx, false); err != nil {
			return nil, err
		}
		t.doubtful = false
	}
	request.Term = t.term
	return t.send(ctx, request)
}

// beat asks whether the ledger is as it should be, says so if everything is there, and reads it if it has changed by
// another hand. It returns when to do so again.
func (t *teller) beat(ctx context.Context) time.Duration {
	t.c.mu.Lock()
	complete, entries := t.c.complete(), t.c.account.addresses()
	forget := t.c.account.forgotten(t.c.desk.ips.Remembered())
	t.c.mu.Unlock()
	status, err := t.request(ctx, v1beta1.IPAllocationClaimSpec{Establish: complete, Forget: forget})
	if err != nil {
		return beat/2 + rand.N(beat/2)
	}
	t.c.mu.Lock()
	for _, text := range forget {
		delete(t.c.account.past, netip.MustParseAddr(text))
	}
	t.c.mu.Unlock()
	if status.Allocations != entries {
		t.c.Log.Warn("the ledger of addresses was changed by another hand, reading it", "event", "ledgerChanged", "want", entries, "got", status.Allocations)
		if err := t.read(ctx, false); err != nil {
			t.doubtful = true
		}
		return eagerBeat
	}
	if !status.Established {
		t.eager = min(max(2*t.eager, eagerBeat), beat)
		return t.eager
	}
	t.eager = 0
	return beat/2 + rand.N(beat/2)
}
