package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// guardTries bounds how often one write is checked again after it lost a race. Somebody wins each race, so only
// a storm of writers gets here; then the client is asked to come back.
const guardTries = 40

// createGuard brings the guard into being. Its value names the last key written, for people who look.
func (s *Store) createGuard(ctx context.Context) error {
	_, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(guardKey), "=", 0)).
		Then(clientv3.OpPut(guardKey, "")).
		Commit()
	if err != nil {
		return fmt.Errorf("create the guard: %w", err)
	}
	return nil
}

// guarded replaces the writes of the etcd client under generic storage. A write reads the guard and the
// configuration, checks what the configuration would become, and commits object and guard in one transaction
// that compares the guard. If it commits, no other write came between the check and the commit: every write
// raises the guard's revision (research.md section 3.3 has the proof). Reads pass through.
type guarded struct {
	kubernetes.Interface
	store *Store
	kind  schema.GroupKind
}

var _ kubernetes.Interface = (*guarded)(nil)

// outcome is what the transaction did to the object's own key.
type outcome struct {
	succeeded bool
	revision  int64
	current   *mvccpb.KeyValue // when not succeeded; nil when the key does not exist
}

// OptimisticPut creates (expected 0) or updates an object. It returns a StatusError of reason Invalid when the
// configuration would break a rule, one of reason TooManyRequests when it lost too many races, and one of reason
// RequestEntityTooLarge when etcd does.
func (g *guarded) OptimisticPut(ctx context.Context, key string, value []byte, expected int64, opts kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	if opts.LeaseID != 0 {
		// An expiring lease would delete the object without moving the guard.
		return kubernetes.PutResponse{}, errors.New("configuration objects cannot have a time to live")
	}
	object, err := g.store.decode(key, value)
	if err != nil {
		return kubernetes.PutResponse{}, err
	}
	out, err := g.commit(ctx, key, object, expected, clientv3.OpPut(key, string(value)))
	if tooLarge(err) {
		err = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%d bytes are more than etcd stores as one object", len(value)))
	}
	if err != nil {
		return kubernetes.PutResponse{}, err
	}
	return kubernetes.PutResponse{Succeeded: out.succeeded, Revision: out.revision, KV: out.current}, nil
}

// tooLarge tells what etcd or its client do not transport. Other shortages of etcd are errors of its own type.
func tooLarge(err error) bool {
	return errors.Is(err, rpctypes.ErrRequestTooLarge) || status.Code(err) == codes.ResourceExhausted
}

// OptimisticDelete deletes an object; errors as OptimisticPut.
func (g *guarded) OptimisticDelete(ctx context.Context, key string, expected int64, _ kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	out, err := g.commit(ctx, key, nil, expected, clientv3.OpDelete(key))
	if err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	return kubernetes.DeleteResponse{Succeeded: out.succeeded, Revision: out.revision, KV: out.current}, nil
}

// commit applies op, which makes object (nil: nothing) of key.
func (g *guarded) commit(ctx context.Context, key string, object runtime.Object, expected int64, op clientv3.Op) (outcome, error) {
	ours := clientv3.Compare(clientv3.ModRevision(key), "=", expected)
	retry := backoff.Backoff{First: 2 * time.Millisecond, Most: 50 * time.Millisecond}
	for attempt := range guardTries {
		if attempt > 0 {
			if err := retry.Wait(ctx); err != nil {
				return outcome{}, err
			}
		}
		v, err := g.store.currentView(ctx)
		if err != nil {
			return outcome{}, err
		}
		old := v.object(key)
		if object != nil && old != nil && sameButStatus(old, object) {
			return g.transact(ctx, key, []clientv3.Cmp{ours}, op)
		}
		errs := g.store.check(v.config, resourceOf(key), old, object)
		if len(errs) > 0 {
			// The check saw the object as stored, the caller may have come from an older state of it. Then the
			// caller shall hear of that and apply its change anew.
			out, moved, err := g.examine(ctx, key, v.revision)
			if err != nil {
				return outcome{}, err
			}
			if out.stands(expected) {
				if moved {
					continue
				}
				return outcome{}, g.invalid(old, object, errs)
			}
			return out, nil
		}
		unmoved := clientv3.Compare(clientv3.ModRevision(guardKey), "=", v.revision)
		out, err := g.transact(ctx, key, []clientv3.Cmp{ours, unmoved}, op, clientv3.OpPut(guardKey, key))
		if err != nil {
			return outcome{}, err
		}
		if out.succeeded {
			g.store.remember(v.with(key, object, out.revision))
			return out, nil
		}
		if !out.stands(expected) {
			return out, nil
		}
	}
	return outcome{}, apierrors.NewTooManyRequests(
		fmt.Sprintf("%d other writes of the configuration came first; try again", guardTries), 1)
}

// transact runs ops if all comparisons hold, and otherwise reads the key.
func (g *guarded) transact(ctx context.Context, key string, compares []clientv3.Cmp, ops ...clientv3.Op) (outcome, error) {
	resp, err := g.store.client.Txn(ctx).If(compares...).Then(ops...).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return outcome{}, err
	}
	out := outcome{succeeded: resp.Succeeded, revision: resp.Header.Revision}
	if !resp.Succeeded {
		out.current = first(resp.Responses[0].GetResponseRange().Kvs)
	}
	return out, nil
}

// examine reads the key and whether the guard has moved from revision, at one moment.
func (g *guarded) examine(ctx context.Context, key string, revision int64) (outcome, bool, error) {
	resp, err := g.store.client.Txn(ctx).Then(clientv3.OpGet(key), clientv3.OpGet(guardKey)).Commit()
	if err != nil {
		return outcome{}, false, err
	}
	now, err := guardRevision(resp.Responses[1].GetResponseRange().Kvs)
	if err != nil {
		return outcome{}, false, err
	}
	out := outcome{revision: resp.Header.Revision, current: first(resp.Responses[0].GetResponseRange().Kvs)}
	return out, now != revision, nil
}

// stands says whether the key is still at the revision that the caller came from.
func (o outcome) stands(expected int64) bool {
	if o.current == nil {
		return expected == 0
	}
	return o.current.ModRevision == expected
}

func first(kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}

func (g *guarded) invalid(old, object runtime.Object, errs field.ErrorList) error {
	if object == nil {
		object = old
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return fmt.Errorf("name of an invalid object: %w", err)
	}
	return apierrors.NewInvalid(g.kind, m.GetName(), errs)
}

// sameButStatus says whether the rules cannot tell two states of an object apart: they differ in status and
// bookkeeping at most. Such a write need not pass the guard. That the old state may be a cached one is no danger:
// whatever else was written to the object since has moved the guard, or makes the comparison of its own key fail.
func sameButStatus(a, b runtime.Object) bool {
	a, b = withoutStatus(a), withoutStatus(b)
	return a != nil && b != nil && apiequality.Semantic.DeepEqual(a, b)
}

func withoutStatus(o runtime.Object) runtime.Object {
	o = o.DeepCopyObject()
	m, err := meta.Accessor(o)
	if err != nil {
		return nil
	}
	m.SetManagedFields(nil)
	m.SetResourceVersion("")
	if status := reflect.ValueOf(o).Elem().FieldByName("Status"); status.IsValid() {
		status.SetZero()
	}
	return o
}
