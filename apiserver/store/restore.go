package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/export"
)

// Restore fills an etcd in which there is no store with an export, which keeps its lineage; all at once, as others see it. Its
// epochs begin above all that the store had before, by the clock, so that speakers obey it and a copy of the old
// store that comes back is fenced off. It returns an error and leaves no store where an object is not one, or breaks a rule
// (check; nil: the store's own); ErrNotEmpty or ErrFilling where it may not.
func (s *Store) Restore(ctx context.Context, c *export.Content, check CheckFunc) error {
	if check == nil {
		check = s.check
	}
	puts, err := s.restored(c, check)
	if err != nil {
		return err
	}
	f, err := s.startFilling(ctx)
	if err != nil {
		return err
	}
	defer f.end()
	if err := f.age(ctx, c.Revision); err != nil {
		return err
	}
	for len(puts) > 0 {
		n, size := 0, 0
		for n < len(puts) && n < maxOpsPerTxn && (n == 0 || size+len(puts[n].ValueBytes()) <= bytesPerTxn) {
			size += len(puts[n].ValueBytes())
			n++
		}
		if err := f.commit(ctx, puts[:n]...); err != nil {
			return err
		}
		puts = puts[n:]
	}
	base := max(c.EpochBase, c.Epoch, time.Now().UnixMilli()) + 1
	err = f.commit(ctx,
		clientv3.OpPut(lineageKey, c.Lineage),
		clientv3.OpPut(epochBaseKey, strconv.FormatInt(base, 10)),
		clientv3.OpPut(guardKey, guardValue("restored")),
		clientv3.OpDelete(fillingKey),
		clientv3.OpDelete(fillingLock),
	)
	if err != nil {
		return err
	}
	if found, err := s.Look(ctx); err != nil || !found {
		return errors.Join(err, errors.New("the lineage that was just restored is gone"))
	}
	return nil
}

// restored makes the writes of an export, after a look at all of it.
func (s *Store) restored(c *export.Content, check CheckFunc) ([]clientv3.Op, error) {
	var puts []clientv3.Op
	var wrong []error
	v := newView(guardState{}, nil)
	for i, raw := range c.Objects {
		object, err := runtime.Decode(s.codec, raw)
		if err != nil {
			return nil, fmt.Errorf("object %d of the export: %w", i+1, err)
		}
		key, err := s.keyOf(object, raw)
		if err != nil {
			return nil, fmt.Errorf("object %d of the export: %w", i+1, err)
		}
		if v.object(key) != nil {
			return nil, fmt.Errorf("the export has %s twice", key)
		}
		value, err := runtime.Encode(s.codec, object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if errs := check(v.config, resourceOf(key), nil, object); len(errs) > 0 {
			wrong = append(wrong, fmt.Errorf("%s: %w", strings.TrimPrefix(key, objectPrefix), errs.ToAggregate()))
			continue
		}
		v = v.with(key, object, guardState{}, hashOf(value))
		puts = append(puts, clientv3.OpPut(key, string(value)))
	}
	if len(wrong) > 0 {
		const most = 20
		if more := len(wrong) - most; more > 0 {
			wrong = append(wrong[:most], fmt.Errorf("and %d more", more))
		}
		return nil, fmt.Errorf("the export breaks rules of this version; correct it: %w", errors.Join(wrong...))
	}
	for _, e := range c.State {
		if !strings.HasPrefix(e.Key, ownPrefix) || slices.Contains(passing, e.Key) {
			return nil, fmt.Errorf("the export has key %q, which is not for it to have", e.Key)
		}
		puts = append(puts, clientv3.OpPut(e.Key, string(e.Value)))
	}
	return puts, nil
}

// keyOf is where an object is stored.
func (s *Store) keyOf(object runtime.Object, raw []byte) (string, error) {
	m, err := meta.Accessor(object)
	if err != nil {
		return "", err
	}
	if m.GetName() == "" || m.GetNamespace() == "" || m.GetUID() == "" {
		return "", fmt.Errorf("%q has no name, namespace or uid: %.100s", m.GetName(), raw)
	}
	kinds, _, err := s.scheme.ObjectKinds(object)
	if err != nil {
		return "", err
	}
	plural, _ := meta.UnsafeGuessKindToResource(kinds[0])
	return strings.Join([]string{strings.TrimSuffix(objectPrefix, "/"), plural.Resource, m.GetNamespace(), m.GetName()}, "/"), nil
}

// Clients remember resource versions. One that a young store has not reached yet is found out (Ahead), unless the
// store gets there before the client comes back. So the store is aged past them, where that is soon done; where
// it is not, it takes so long to get there that clients were back before. Objects come after that, so that they have versions that none had.
const (
	ageBy   = 2_000
	ageMost = 10_000
)

// age raises etcd's revision beyond one of another past.
func (f *filling) age(ctx context.Context, past int64) error {
	resp, err := f.client.Get(ctx, fillingKey)
	if err != nil {
		return fmt.Errorf("age the store: %w", err)
	}
	missing := min(past+ageBy-resp.Header.Revision, ageMost)
	const writers = 64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for range missing {
		group.Go(func() error { return f.commit(ctx, clientv3.OpPut(fillingKey, "aging")) })
	}
	return group.Wait()
}
