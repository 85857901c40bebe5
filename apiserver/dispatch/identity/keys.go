package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

const (
	// refreshEvery is how often the keys are read again; jittered.
	refreshEvery = 5 * time.Minute
	// retryFirst and retryLast bound the back-off after a failed reading.
	retryFirst = time.Second
	retryLast  = time.Minute
	// fetchTimeout bounds one reading.
	fetchTimeout = 10 * time.Second
)

// Keys are the cluster's ServiceAccount issuer and its public keys, as last read.
type Keys struct {
	fetch func(context.Context) (*keySet, error)
	file  string
	log   *slog.Logger

	mu  sync.RWMutex
	set *keySet
}

// NewKeys returns the keys kept in file, if there are any, to be refreshed from the kube-apiserver behind api while
// Run runs. A damaged file is ignored, with a word in the log.
func NewKeys(api rest.Interface, file string, log *slog.Logger) *Keys {
	return newKeys(func(ctx context.Context) (*keySet, error) { return fetchKeySet(ctx, api) }, file, log)
}

func newKeys(fetch func(context.Context) (*keySet, error), file string, log *slog.Logger) *Keys {
	k := &Keys{fetch: fetch, file: file, log: log}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return k
	}
	if err == nil {
		k.set, err = decodeKeySet(data)
	}
	if err != nil {
		log.Warn("kept issuer keys are not usable; offline verification waits for the kube-apiserver",
			"event", "issuerKeysDamaged", "file", file, "error", err)
	}
	return k
}

// Run reads the keys again and again until ctx ends.
func (k *Keys) Run(ctx context.Context) {
	retry := backoff.Backoff{First: retryFirst, Most: retryLast}
	failing := false
	for {
		err := k.refresh(ctx)
		next := refreshEvery/2 + rand.N(refreshEvery)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				k.log.Warn("cannot read the cluster's issuer keys; keeping those at hand", "event", "issuerKeys", "error", err)
			}
			failing = true
			next = retry.Next()
		default:
			failing = false
			retry.Reset()
		}
		if backoff.Sleep(ctx, next) != nil {
			return
		}
	}
}

func (k *Keys) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode issuer keys: %w", err)
	}
	k.mu.Lock()
	k.set = set
	k.mu.Unlock()
	return replaceFile(k.file, data)
}

func (k *Keys) current() (*keySet, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.set, k.set != nil
}

// fetchKeySet reads issuer and keys where the kube-apiserver publishes them.
func fetchKeySet(ctx context.Context, api rest.Interface) (*keySet, error) {
	var discovery struct {
		Issuer string `json:"issuer"`
	}
	set := &keySet{}
	for path, into := range map[string]any{"/.well-known/openid-configuration": &discovery, "/openid/v1/jwks": set} {
		data, err := api.Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	set.Issuer = discovery.Issuer
	if err := set.parse(); err != nil {
		return nil, err
	}
	return set, nil
}

// replaceFile writes data beside file and renames, so that file is always whole.
func replaceFile(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keep issuer keys: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("keep issuer keys: %w", err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep issuer keys: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}
