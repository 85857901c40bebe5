package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// NewPoolClient returns a client of metallb.io/v1beta1 for the cluster of cfg, sharing the connection hc.
func NewPoolClient(cfg *rest.Config, hc *http.Client) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering metallb.io/v1beta1: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.GroupVersion = &v1beta1.SchemeGroupVersion
	cfg.APIPath = "/apis"
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType, cfg.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	cfg.WarningHandler = rest.NoWarnings{} // that AddressPools are deprecated is told to who writes them
	return rest.RESTClientForConfigAndClient(cfg, hc)
}

// Compact is cfg for Kubernetes' own kinds, which have an encoding that costs both sides less than JSON.
func Compact(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return cfg
}

// poolStatusPause is the least time between two writes of one pool's status.
const poolStatusPause = time.Second

// duePoolStatus has the counters of all pools compared with their status soon.
func (c *Controller) duePoolStatus() {
	select {
	case c.poolStatusDue <- struct{}{}:
	default: // due already
	}
}

// keepPoolStatus writes the counters of pools into their status until ctx ends, where they differ, in rounds with a
// pause in between.
func (c *Controller) keepPoolStatus(ctx context.Context) {
	retry := backoff.Backoff{First: 2 * poolStatusPause, Most: 30 * time.Second}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.poolStatusDue:
		}
		pause := poolStatusPause
		if err := c.writePoolStatus(ctx); err != nil && ctx.Err() == nil {
			pause += retry.Next()
			c.Log.Warn("could not write the status of a pool, will try again", "op", "updatePoolStatus", "error", err, "pause", pause.String())
			c.duePoolStatus()
		} else {
			retry.Reset()
		}
		if backoff.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// writePoolStatus writes every status that is not as it should be. It stops at the first error.
func (c *Controller) writePoolStatus(ctx context.Context) error {
	for name, status := range c.poolStatuses() {
		body, err := json.Marshal(map[string]any{"status": status})
		if err != nil {
			return fmt.Errorf("encoding the status of IPAddressPool %s: %w", name, err)
		}
		err = func() error {
			ctx, cancel := context.WithTimeout(ctx, writeTimeout)
			defer cancel()
			return c.Pools.Patch(types.MergePatchType).Namespace(c.Namespace).Resource("ipaddresspools").
				Name(name).SubResource("status").Body(body).Do(ctx).Error()
		}()
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("writing the status of IPAddressPool %s: %w", name, err)
		}
	}
	return nil
}

// poolStatuses are the statuses that differ from what is known to be stored.
func (c *Controller) poolStatuses() map[string]v1beta1.IPAddressPoolStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := map[string]v1beta1.IPAddressPoolStatus{}
	if !c.synced {
		return due
	}
	c.refreshPools()
	for key, p := range c.book.pools {
		counts, ok := c.desk.ips.Stats(key.name)
		if !ok || key.legacy { // which have no counters
			continue
		}
		want := v1beta1.IPAddressPoolStatus{
			AssignedIPv4: counts[ipam.IPv4].Assigned, AvailableIPv4: counts[ipam.IPv4].Available,
			AssignedIPv6: counts[ipam.IPv6].Assigned, AvailableIPv6: counts[ipam.IPv6].Available,
		}
		if !sameCounters(&p.Status, &want) {
			due[key.name] = want
		}
	}
	return due
}

// sameCounters leaves the conditions out: they are the apiserver's to write.
func sameCounters(a, b *v1beta1.IPAddressPoolStatus) bool {
	return a.AssignedIPv4 == b.AssignedIPv4 && a.AvailableIPv4 == b.AvailableIPv4 &&
		a.AssignedIPv6 == b.AssignedIPv6 && a.AvailableIPv6 == b.AvailableIPv6
}

// poolCounts are the counters of all pools, for metrics.
func (c *Controller) poolCounts() (names []string, counts map[string][2]ipam.Counts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names = slices.Clone(c.desk.ips.PoolNames())
	counts = make(map[string][2]ipam.Counts, len(names))
	for _, name := range names {
		counts[name], _ = c.desk.ips.Stats(name)
	}
	return names, counts
}
