// Package storage lets a dispatch.Hub work on a store.Store. It stands apart so that the hub does not depend on the
// API machinery under the store.
package storage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/store"
)

// New returns s as a hub needs it.
func New(s *store.Store) dispatch.Store { return adapter{s} }

// adapter overrides those methods of a store whose types differ.
type adapter struct{ *store.Store }

// Ledger implements dispatch.Store. The maps are shared.
func (a adapter) Ledger() (dispatch.Ledger, bool) {
	l, ok := a.Store.Ledger()
	return dispatch.Ledger{Epoch: uint64(l.Epoch), Holdings: l.Holdings}, ok
}

// Campaign implements dispatch.Store.
func (a adapter) Campaign(ctx context.Context, replica string) (dispatch.Leadership, error) {
	lead, err := a.Store.Campaign(ctx, replica)
	if err != nil {
		return dispatch.Leadership{}, err
	}
	return dispatch.Leadership{Epoch: uint64(lead.Epoch), Done: lead.Done}, nil
}

// Adoption implements dispatch.Store.
func (a adapter) Adoption(ctx context.Context) (dispatch.Adoption, error) {
	adoption, err := a.Store.Adoption(ctx)
	return dispatch.Adoption(adoption), err
}

// Adopt implements dispatch.Store.
func (a adapter) Adopt(ctx context.Context, supersedes []string) (dispatch.Adoption, error) {
	adoption, err := a.Store.Adopt(ctx, supersedes)
	return dispatch.Adoption(adoption), err
}

// LoadDecisions implements dispatch.Store.
func (a adapter) LoadDecisions(ctx context.Context) (map[netip.Addr]plan.Decision, error) {
	stored, err := a.Store.LoadDecisions(ctx)
	if err != nil {
		return nil, err
	}
	decisions := make(map[netip.Addr]plan.Decision, len(stored))
	for addr, d := range stored {
		decisions[addr] = plan.Decision(d)
	}
	return decisions, nil
}

// SaveDecisions implements dispatch.Store.
func (a adapter) SaveDecisions(ctx context.Context, epoch uint64, put map[netip.Addr]plan.Decision, drop []netip.Addr) error {
	stored := make(map[netip.Addr]store.Decision, len(put))
	for addr, d := range put {
		stored[addr] = store.Decision(d)
	}
	err := a.Store.SaveDecisions(ctx, int64(epoch), stored, drop)
	if errors.Is(err, store.ErrNotLeader) {
		return fmt.Errorf("%w: %w", dispatch.ErrNotLeader, err)
	}
	return err
}
