package store

import (
	"context"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

const (
	// ledgerTries bounds how often claims are judged anew after others wrote at the same moment: writers of the
	// configuration, for the claims of one process take turns.
	ledgerTries = 20
	// addressesPerTxn is of how many addresses the claims of one transaction may be. Each takes one comparison and two
	// operations.
	addressesPerTxn = maxOpsPerTxn / 2
	// bytesPerTxn is how much the claims of one transaction may write: etcd takes 1.5 MiB. The ports and keys of Services
	// are as long as their authors like, and must not keep others from their addresses.
	bytesPerTxn = 1 << 20
)

// Claim answers a valid request to the ledger, whose IPAllocations are in namespace: it fills in the status. An error
// wraps ledger.ErrTermEnded when the request is of a term that has ended; then, as with any error, claims before the one at
// which it happened may have been granted.
func (s *Store) Claim(ctx context.Context, namespace string, claim *metallb.IPAllocationClaim, dryRun bool) error {
	if err := s.ledgerTurn.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.ledgerTurn.Release(1)
	c := &claiming{Store: s, namespace: namespace, spec: &claim.Spec, status: &claim.Status, dryRun: dryRun}
	*c.status = metallb.IPAllocationClaimStatus{Term: c.spec.Term}
	if c.spec.Term == 0 || c.spec.Renew {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	for _, chunk := range chunks(c.spec.Services) {
		results, err := c.chunk(ctx, chunk)
		if err != nil {
			return err
		}
		c.status.Services = append(c.status.Services, results...)
	}
	if len(c.spec.Forget) > 0 && !dryRun {
		if err := c.forget(ctx); err != nil {
			return err
		}
	}
	if c.spec.Establish && !dryRun {
		if err := c.establish(ctx); err != nil {
			return err
		}
	}
	if len(c.spec.Services) == 0 {
		return c.describe(ctx)
	}
	return nil
}

// claiming is one request under way.
type claiming struct {
	*Store
	namespace string
	spec      *metallb.IPAllocationClaimSpec
	status    *metallb.IPAllocationClaimStatus
	dryRun    bool
}

// chunks divides claims so that each part goes into one transaction.
func chunks(claims []metallb.ServiceClaim) (parts [][]metallb.ServiceClaim) {
	first, n := 0, 0
	for i := range claims {
		more := len(claims[i].Addresses) + len(claims[i].Release)
		if n+more > addressesPerTxn {
			parts, first, n = append(parts, claims[first:i]), i, 0
		}
		n += more
	}
	if first < len(claims) {
		parts = append(parts, claims[first:])
	}
	return parts
}
