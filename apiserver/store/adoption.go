package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Adoption is an operator's word that this store is to be obeyed ("apiserver adopt"). The zero value means that
// it was never given.
type Adoption struct {
	// TimeMs is when, in Unix milliseconds; each adoption of a store is later than the one before.
	TimeMs uint64 `json:"time"`
	// Supersedes are the lineages that this store replaces, sorted.
	Supersedes []string `json:"supersedes,omitempty"`
}

// Adoption returns the last adoption.
func (s *Store) Adoption(ctx context.Context) (Adoption, error) {
	a, _, err := s.readAdoption(ctx)
	return a, err
}

func (s *Store) readAdoption(ctx context.Context) (a Adoption, revision int64, err error) {
	resp, err := s.client.Get(ctx, adoptionKey)
	if err != nil {
		return a, 0, fmt.Errorf("read the adoption: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return a, 0, nil
	}
	if err := json.Unmarshal(resp.Kvs[0].Value, &a); err != nil {
		return a, 0, fmt.Errorf("key %s: %w", adoptionKey, err)
	}
	return a, resp.Kvs[0].ModRevision, nil
}

// Adopt stores a new adoption that supersedes the given lineages and those of earlier adoptions, since a speaker
// may have been away all the while. The store's own lineage is left out.
func (s *Store) Adopt(ctx context.Context, supersedes []string) (Adoption, error) {
	retry := backoff.Backoff{First: 5 * time.Millisecond, Most: 200 * time.Millisecond}
	for {
		last, revision, err := s.readAdoption(ctx)
		if err != nil {
			return Adoption{}, err
		}
		next := Adoption{
			TimeMs:     max(uint64(time.Now().UnixMilli()), last.TimeMs+1),
			Supersedes: slices.Concat(last.Supersedes, supersedes),
		}
		next.Supersedes = slices.DeleteFunc(next.Supersedes, func(l string) bool { return l == "" || l == s.Lineage() })
		slices.Sort(next.Supersedes)
		next.Supersedes = slices.Compact(next.Supersedes)
		value, err := json.Marshal(next)
		if err != nil {
			return Adoption{}, fmt.Errorf("encode the adoption: %w", err)
		}
		resp, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(adoptionKey), "=", revision)).
			Then(clientv3.OpPut(adoptionKey, string(value))).
			Commit()
		if err != nil {
			return Adoption{}, fmt.Errorf("write the adoption: %w", err)
		}
		if resp.Succeeded {
			return next, nil
		}
		if err := retry.Wait(ctx); err != nil {
			return Adoption{}, err
		}
	}
}

// AdoptionChanged is Changed for the adoption.
func (s *Store) AdoptionChanged(ctx context.Context) <-chan struct{} {
	return s.notify(ctx, adoptionKey)
}
