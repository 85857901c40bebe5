// Package store keeps the configuration in etcd: it embeds one, or talks to one of the user's, and puts the
// guarded write (design.md section 5) under the REST storage of every configuration kind.
//
// Beside the objects it keeps what Ingot must remember: the lineage of the store, the leader key whose create
// revision fences orders to speakers, the last adoption, and the owner and term of each layer-2 address.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/etcd3"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// CheckFunc reports what is wrong with the configuration that c would become if old were replaced by new. old is
// nil for a create, new for a delete. Both are internal types; resource is the plural name, such as "bgppeers".
// It must be pure: a write that loses a race is checked again.
type CheckFunc func(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList

// Options say where the store is and what it holds.
type Options struct {
	// DataDir holds the embedded etcd; used when Servers is empty.
	DataDir string
	// Servers are URLs of an etcd to use instead of the embedded one.
	Servers []string
	// CAFile, CertFile and KeyFile are for TLS towards Servers; all may be empty.
	CAFile, CertFile, KeyFile string
	// Scheme knows the internal types of the group.
	Scheme *runtime.Scheme
	// Codec writes objects in the version that StorageVersion picks, and reads any version into the internal types.
	Codec          runtime.Codec
	StorageVersion runtime.GroupVersioner
	// Check is the law that every committed write keeps; nil permits everything.
	Check CheckFunc
	// Log may be nil.
	Log *slog.Logger
	// KeepEmpty leaves an etcd without a store in it as it is: Lineage is empty until Begin or Restore made one there, or
	// Look found that another replica has.
	KeepEmpty bool
	// UnsafeNoFsync makes the embedded etcd lose data when the machine stops. For tests only.
	UnsafeNoFsync bool
}

// Store is an open store. Its methods may be used concurrently; each returns etcd's error when etcd cannot be
// reached before the context ends.
type Store struct {
	client    *clientv3.Client
	embedded  *embeddedEtcd // nil with an etcd of the user's
	compactor interface {
		etcd3.Compactor
		Stop()
	}
	scheme         *runtime.Scheme
	codec          runtime.Codec
	storageVersion runtime.GroupVersioner
	check          CheckFunc
	log            *slog.Logger
	// identity is nil while there is no store in etcd (Options.KeepEmpty).
	identity atomic.Pointer[Identity]
	// writes puts the guarded write over the writes of a client. Tests, and they alone, put something else here.
	writes func(plain kubernetes.Interface, kind schema.GroupKind) kubernetes.Interface

	// turn is held by the guarded write that is under way in this process. Those who wait get it in the order in which
	// they came, so that they do not race each other; the server's limit on requests in flight bounds how many wait.
	turn *semaphore.Weighted
	// following is held by whoever is about to replace the view by a newer one. Who finds the guard moved waits for it and
	// looks again: mostly it was a write of this process, and nothing need be read.
	following *semaphore.Weighted
	// ledgerTurn is the same for claims.
	ledgerTurn *semaphore.Weighted
	// seen is the highest revision of etcd that any answer told of.
	seen atomic.Int64

	heard heardLedger

	mu sync.Mutex
	// view is the newest decoded configuration; never nil.
	view *view
}

// Open starts or reaches etcd, and writes the lineage and the guard if there are none. It waits for an etcd of
// the user's until ctx ends; a data directory that is locked or damaged is an error at once.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	s := &Store{
		scheme:         o.Scheme,
		codec:          o.Codec,
		storageVersion: o.StorageVersion,
		check:          o.Check,
		log:            o.Log,
		turn:           semaphore.NewWeighted(1),
		following:      semaphore.NewWeighted(1),
		ledgerTurn:     semaphore.NewWeighted(1),
		view:           &view{config: &metallb.Configuration{}},
	}
	s.writes = func(plain kubernetes.Interface, kind schema.GroupKind) kubernetes.Interface {
		return &guarded{Interface: plain, store: s, kind: kind}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.check == nil {
		s.check = func(*metallb.Configuration, string, runtime.Object, runtime.Object) field.ErrorList { return nil }
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()

	endpoints := o.Servers
	if len(endpoints) == 0 {
		if s.embedded, err = startEmbedded(ctx, o.DataDir, o.UnsafeNoFsync, s.log); err != nil {
			return nil, err
		}
		endpoints = []string{s.embedded.endpoint}
	}
	if s.client, err = newClient(endpoints, o, s.log); err != nil {
		return nil, err
	}
	if err := s.initialize(ctx, o.KeepEmpty); err != nil {
		return nil, err
	}
	s.compactor = etcd3.StartCompactorPerEndpoint(s.client, compactInterval)
	return s, nil
}

// compactInterval is how much history of objects is kept for watches, as in Kubernetes.
const compactInterval = 5 * time.Minute

// initialize brings the keys into being that exist in every store, and retries while etcd cannot be reached.
func (s *Store) initialize(ctx context.Context, keepEmpty bool) error {
	retry := backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
	for {
		err := s.initializeOnce(ctx, keepEmpty)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("open the store: %w", err)
		}
		s.log.Warn("etcd cannot be used yet", "event", "storeUnavailable", "endpoints", s.client.Endpoints(), "error", err)
		if err := retry.Wait(ctx); err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
	}
}

func (s *Store) initializeOnce(ctx context.Context, keepEmpty bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := s.Look(ctx)
	if err != nil || !found && keepEmpty {
		return err
	}
	if !found {
		if err := s.Begin(ctx); err != nil {
			return err
		}
	}
	if err := s.createGuard(ctx); err != nil {
		return err
	}
	if s.embedded == nil {
		return nil
	}
	// Nobody else can hold the leader key of an etcd that lives in this process: it is a dead predecessor's.
	if _, err := s.client.Delete(ctx, leaderKey); err != nil {
		return fmt.Errorf("remove the leader key of a dead process: %w", err)
	}
	return nil
}

// requestTimeout bounds one request to etcd where the caller's context may be longer.
const requestTimeout = 5 * time.Second

// Embedded says whether etcd runs in this process.
func (s *Store) Embedded() bool { return s.embedded != nil }

// Health reports whether etcd answers and still is the store that was opened, and has not gone back to an earlier
// state of it, as when a backup was restored. An error that wraps ErrReplaced means that this process must start anew.
func (s *Store) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	before := s.seen.Load() // whoever saw it did so before this request
	resp, err := s.client.Get(ctx, lineageKey)
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	if now := resp.Header.Revision; now < before {
		return fmt.Errorf("%w: it went back from revision %d to %d", ErrReplaced, before, now)
	}
	s.saw(resp.Header.Revision)
	if lineage := s.Lineage(); len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != lineage {
		return fmt.Errorf("%w: lineage %s is gone", ErrReplaced, lineage)
	}
	return nil
}

// saw remembers the revision of an answer of etcd.
func (s *Store) saw(revision int64) {
	for {
		highest := s.seen.Load()
		if revision <= highest || s.seen.CompareAndSwap(highest, revision) {
			return
		}
	}
}

// ErrReplaced says that the etcd behind an open store was emptied, exchanged for another or restored from a backup.
var ErrReplaced = errors.New("the store was replaced while it was in use")

// Close ends the client and the embedded etcd. It may be called once.
func (s *Store) Close() error {
	var errs []error
	if s.compactor != nil {
		s.compactor.Stop()
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	if s.embedded != nil {
		if s.identity.Load() == nil {
			s.embedded.abandon()
		}
		errs = append(errs, s.embedded.close())
	}
	return errors.Join(errs...)
}
