// Package loglevel keeps the log level of a program that is a client of Kubernetes at what the MetalLB object says.
package loglevel

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/speaker/logging"
)

// retry is how long it waits while the API is away: a change may take effect so much later.
var retry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 5, Cap: 5 * time.Second}

// Follow does so until ctx ends. While the API is away the level stays what it is. client is one of metallb.io/v1beta1; of the
// object it lists and watches the one with the name that counts, and needs no other right.
func Follow(ctx context.Context, client cache.Getter, namespace string, level *logging.Level, log *slog.Logger) {
	one := fields.OneTermEqualSelector("metadata.name", metallb.MetalLBName)
	backoff := retry
	cache.NewReflectorWithOptions(cache.NewListWatchFromClient(client, "metallbs", namespace, one), &v1beta1.MetalLB{},
		&follower{level: level, log: log}, cache.ReflectorOptions{Name: "log level", Backoff: &backoff}).RunWithContext(ctx)
}

// follower is the reflector's store.
type follower struct {
	level *logging.Level
	log   *slog.Logger
}

func (f *follower) heed(objs ...any) error {
	said := ""
	for _, obj := range objs {
		o, ok := obj.(*v1beta1.MetalLB)
		if !ok {
			return fmt.Errorf("the server sent a %T", obj)
		}
		if o.Name == metallb.MetalLBName {
			said = string(o.Spec.LogLevel)
		}
	}
	if err := f.level.Object(said); err != nil {
		f.log.Warn("the MetalLB object asks for something unknown; going on as before", "op", "setLogLevel", "error", err)
	}
	return nil
}

// Add implements cache.ReflectorStore, as do the methods below.
func (f *follower) Add(obj any) error { return f.heed(obj) }

// Update is the object as it is now.
func (f *follower) Update(obj any) error { return f.heed(obj) }

// Delete leaves the level to the flag.
func (f *follower) Delete(any) error { return f.heed() }

// Replace is the answer to a list: the object, or nothing.
func (f *follower) Replace(objs []any, _ string) error { return f.heed(objs...) }

// Resync does nothing: what was heard is kept elsewhere.
func (f *follower) Resync() error { return nil }
