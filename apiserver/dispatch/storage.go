package dispatch

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/apiserver/plan"
)

// ErrNotLeader says that the epoch in whose name something was to be written has ended.
var ErrNotLeader = errors.New("not the leader")

// Store is what the hub needs of the store; package storage makes one of a *store.Store. Every method returns when
// ctx ends.
type Store interface {
	// Lineage is the identity of the store.
	Lineage() string
	// Snapshot returns the configuration and the configuration revision, linearizably.
	Snapshot(ctx context.Context) (*metallb.Configuration, int64, error)
	// Changed receives once at the start and whenever the configuration may have changed; it is closed when ctx ends.
	Changed(ctx context.Context) <-chan struct{}
	// Campaign waits until this replica leads. The leadership is given up when ctx ends.
	Campaign(ctx context.Context, replica string) (Leadership, error)
	// Adoption returns the last adoption; the zero value when there was none.
	Adoption(ctx context.Context) (Adoption, error)
	// AdoptionChanged is Changed for the adoption.
	AdoptionChanged(ctx context.Context) <-chan struct{}
	// Adopt stores a new adoption that supersedes these lineages and those of earlier adoptions, and returns it.
	Adopt(ctx context.Context, supersedes []string) (Adoption, error)
	// Ledger returns who holds which address, as it was last heard of, and whether it was. It is shared. LedgerChanged
	// has to be under way.
	Ledger() (Ledger, bool)
	// LedgerChanged is Changed for the ledger.
	LedgerChanged(ctx context.Context) <-chan struct{}
	// AskLedger reads from the store who holds some addresses, linearizably: Ledger has it afterwards.
	AskLedger(ctx context.Context, namespace string, addrs []netip.Addr) error
	// LoadDecisions returns the stored owners of layer-2 addresses.
	LoadDecisions(ctx context.Context) (map[netip.Addr]plan.Decision, error)
	// SaveDecisions writes and deletes decisions in the name of the leader of epoch; an error wraps ErrNotLeader when
	// that epoch has ended.
	SaveDecisions(ctx context.Context, epoch uint64, put map[netip.Addr]plan.Decision, drop []netip.Addr) error
}

// Ledger is who holds which address.
type Ledger struct {
	// Epoch is the one in which the controller found that nothing is missing; 0 if it has not.
	Epoch    uint64
	Holdings map[netip.Addr]ledger.Holding
}

// Leadership is a time during which this replica leads.
type Leadership struct {
	// Epoch is the create revision of the leader key.
	Epoch uint64
	// Done is closed when the leadership has ended or cannot be proven any more.
	Done <-chan struct{}
}

// Adoption is an operator's word that this store is to be obeyed.
type Adoption struct {
	// TimeMs is when it was given, in Unix milliseconds; 0 when never.
	TimeMs uint64
	// Supersedes are the lineages that it replaces.
	Supersedes []string
}
