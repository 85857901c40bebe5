// Package election lets one of several replicas work, by a Lease.
package election

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Election lets one replica at a time work.
type Election struct {
	Client    kubernetes.Interface
	Namespace string
	// Lease is the name of the Lease, in Namespace.
	Lease string
	// Identity is this replica's name. It should outlive a restart of the process, which then goes on at once with the
	// lease it has.
	Identity string
	Log      *slog.Logger

	standby atomic.Bool
}

// Standby reports whether another replica is known to work.
func (e *Election) Standby() bool { return e.standby.Load() }

// Run calls work for each term in which this replica holds the lease, until ctx ends. work must return soon after its
// context ends; the lease is released only then.
func (e *Election) Run(ctx context.Context, work func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := e.term(ctx, work); err != nil {
			return err
		}
	}
	return nil
}

// term stands for election once, and works if elected.
func (e *Election) term(ctx context.Context, work func(context.Context) error) error {
	// The elector outlives ctx until the work has ended, or it would give away the lease under its hands.
	elector, resign := context.WithCancel(context.WithoutCancel(ctx))
	defer resign()
	var elected atomic.Bool
	done := make(chan error, 1)
	le, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Lease},
			Client:     e.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
		},
		LeaseDuration:   5 * time.Second,
		RenewDeadline:   3 * time.Second,
		RetryPeriod:     time.Second,
		ReleaseOnCancel: true,
		Name:            e.Lease,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(lead context.Context) {
				elected.Store(true)
				e.Log.Info("this replica works now", "event", "leaderElected", "identity", e.Identity)
				lead, end := context.WithCancel(lead)
				defer end()
				defer context.AfterFunc(ctx, end)()
				err := work(lead)
				resign()
				done <- err
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				e.standby.Store(identity != e.Identity)
			},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		if !elected.Load() {
			resign()
		}
	})()
	le.Run(elector)
	if !elected.Load() {
		return nil
	}
	err = <-done
	if ctx.Err() == nil {
		e.Log.Warn("lost the lease, standing for election again", "event", "leaderLost", "identity", e.Identity)
	}
	return err
}
