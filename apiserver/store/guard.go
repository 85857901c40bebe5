package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// guardTries bounds how often one write is checked again after it lost a race. The writers of one process take
// turns, so that only processes race, and somebody wins each race; who still gets here is asked to come back.
const guardTries = 40

// guardValue is what a write of key makes of the guard: it names the key, for people who look, and is like no value
// before. A revision may come twice, with other content, where etcd was restored from a backup; a value does not.
func guardValue(key string) string { return key + " " + rand.Text() }

// createGuard brings the guard into being.
func (s *Store) createGuard(ctx context.Context) error {
	_, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(guardKey), "=", 0)).
		Then(clientv3.OpPut(guardKey, guardValue("created"))).
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
	err = fullOr(err)
	if tooLarge(err) {
		err = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%d bytes are more than etcd stores as one object (1.5 MB, where it was not told otherwise); share them among several objects", len(value)))
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

// fullOr words what etcd says when it is full: it then takes no writes, deletions among them, until an operator makes room.
func fullOr(err error) error {
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		return err
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusInsufficientStorage,
		Reason: "StoreFull",
		Message: "the store (etcd) has reached its quota and takes no writes: compact and defragment it, raise its --quota-backend-bytes " +
			"if that does not make room, then disarm its alarm (etcdctl alarm disarm)",
	}}
}

// OptimisticDelete deletes an object; errors as OptimisticPut.
func (g *guarded) OptimisticDelete(ctx context.Context, key string, expected int64, _ kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	out, err := g.commit(ctx, key, nil, expected, clientv3.OpDelete(key))
	if err = fullOr(err); err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	return kubernetes.DeleteResponse{Succeeded: out.succeeded, Revision: out.revision, KV: out.current}, nil
}

// commit applies op, which makes object (nil: nothing) of key.
func (g *guarded) commit(ctx context.Context, key string, object runtime.Object, expected int64, op clientv3.Op) (outcome, error) {
	ours := clientv3.Compare(clientv3.ModRevision(key), "=", expected)
	if out, is, err := g.overtaken(ctx, key, expected); err != nil || is {
		return out, err
	}
	if object != nil && expected != 0 {
		exempt, err := g.exempt(ctx, key, object, expected)
		if err != nil {
			return outcome{}, err
		}
		if exempt {
			return g.transact(ctx, key, []clientv3.Cmp{ours}, op)
		}
	}
	if err := g.store.turn.Acquire(ctx, 1); err != nil {
		return outcome{}, err
	}
	defer g.store.turn.Release(1)
	if out, is, err := g.overtaken(ctx, key, expected); err != nil || is {
		return out, err
	}
	retry := backoff.Backoff{First: 2 * time.Millisecond, Most: 20 * time.Millisecond}
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
		errs := g.store.check(v.config, resourceOf(key), old, object)
		if len(errs) > 0 {
			// The check saw the object as stored, the caller may have come from an older state of it. Then the
			// caller shall hear of that and apply its change anew.
			out, moved, err := g.examine(ctx, key, v.guard)
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
		out, err := g.commitBeside(ctx, v, key, object, ours, op)
		if err != nil || out.succeeded {
			return out, err
		}
		if !out.stands(expected) {
			return out, nil
		}
	}
	return outcome{}, apierrors.NewTooManyRequests(
		fmt.Sprintf("%d other writes of the configuration came first; try again", guardTries), 1)
}

// commitBeside commits what was found right beside v, unless the guard has moved since.
func (g *guarded) commitBeside(ctx context.Context, v *view, key string, object runtime.Object, ours clientv3.Cmp, op clientv3.Op) (outcome, error) {
	if err := g.store.following.Acquire(ctx, 1); err != nil {
		return outcome{}, err
	}
	defer g.store.following.Release(1)
	value := guardValue(key)
	out, err := g.transact(ctx, key, append(v.guard.unmoved(), ours), op, clientv3.OpPut(guardKey, value))
	if err == nil && out.succeeded {
		g.store.remember(v, v.with(key, object, guardState{out.revision, value}, hashOf(op.ValueBytes())))
	}
	return out, err
}

// exempt says whether the rules cannot tell object from the state of it that has the modification revision expected.
// Then no rule can be broken by replacing the one by the other, and the write need not pass the guard. If the state
// that is known is not that very one, the guard is read: whatever but status was written to the object before the
// caller saw it has moved the guard by then, and what is written later makes the comparison of the object's key fail.
func (g *guarded) exempt(ctx context.Context, key string, object runtime.Object, expected int64) (bool, error) {
	v := g.store.cachedView()
	i, found := v.find(key)
	if !found || v.entries[i].modRevision != expected {
		var err error
		if v, err = g.store.currentView(ctx); err != nil {
			return false, err
		}
	}
	old := v.object(key)
	return old != nil && sameButStatus(old, object), nil
}

// transact runs ops if all comparisons hold, and otherwise reads the key.
func (g *guarded) transact(ctx context.Context, key string, compares []clientv3.Cmp, ops ...clientv3.Op) (outcome, error) {
	resp, err := g.store.client.Txn(ctx).If(compares...).Then(ops...).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return outcome{}, err
	}
	g.store.saw(resp.Header.Revision)
	out := outcome{succeeded: resp.Succeeded, revision: resp.Header.Revision}
	if !resp.Succeeded {
		out.current = first(resp.Responses[0].GetResponseRange().Kvs)
	}
	return out, nil
}

// examine reads the key and whether the guard has moved from a state, at one moment.
func (g *guarded) examine(ctx context.Context, key string, from guardState) (outcome, bool, error) {
	resp, err := g.store.client.Txn(ctx).Then(clientv3.OpGet(key), clientv3.OpGet(guardKey)).Commit()
	if err != nil {
		return outcome{}, false, err
	}
	now, err := guardOf(resp.Responses[1].GetResponseRange().Kvs)
	if err != nil {
		return outcome{}, false, err
	}
	out := outcome{revision: resp.Header.Revision, current: first(resp.Responses[0].GetResponseRange().Kvs)}
	return out, now != from, nil
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

// sameButStatus says whether two states of an object differ in status and bookkeeping at most.
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
