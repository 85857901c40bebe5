package store

import (
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/tools/cache"
)

// RESTOptionsGetter gives generic registries storage with the guarded write under a watch cache. tracker, which
// may be nil, learns how many objects there are, for priority and fairness.
func (s *Store) RESTOptionsGetter(tracker flowcontrolrequest.StorageObjectCountTracker) generic.RESTOptionsGetter {
	return &restOptions{store: s, tracker: tracker}
}

type restOptions struct {
	store   *Store
	tracker flowcontrolrequest.StorageObjectCountTracker
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (r *restOptions) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	if resource.Group != groupName {
		return generic.RESTOptions{}, fmt.Errorf("%s is not of group %s", resource, groupName)
	}
	options := generic.RESTOptions{ResourcePrefix: resourcePrefix(resource.Resource)}
	prefix, writes := storagePrefix, r.store.writes
	if resource.Resource == allocations {
		prefix, options.ResourcePrefix = ledgerStorage, strings.TrimPrefix(ledgerKey, ledgerStorage)
		writes = func(plain kubernetes.Interface, _ schema.GroupKind) kubernetes.Interface {
			return &ledgered{plain, r.store}
		}
	}
	if example == nil {
		return options, nil // only where the resource is stored is asked
	}
	kinds, _, err := r.store.scheme.ObjectKinds(example)
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("kind of %s: %w", resource, err)
	}
	kind := kinds[0].GroupKind()
	config := storagebackend.NewDefaultConfig(prefix, r.store.codec)
	config.EncodeVersioner = r.store.storageVersion
	config.StorageObjectCountTracker = r.tracker
	options.StorageConfig = config.ForResource(resource)
	options.Decorator = r.store.decorator(func(plain kubernetes.Interface) kubernetes.Interface { return writes(plain, kind) })
	options.EnableGarbageCollection = resource.Resource != allocations // which nobody can put a finalizer on
	options.DeleteCollectionWorkers = 1
	options.CountMetricPollPeriod = time.Minute
	options.StorageObjectCountTracker = r.tracker
	return options, nil
}

// decorator is registry.StorageWithCacher with our client in place of the factory's.
func (s *Store) decorator(writes func(plain kubernetes.Interface) kubernetes.Interface) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc func() runtime.Object,
		newListFunc func() runtime.Object,
		getAttrs storage.AttrFunc,
		triggers storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		watching := s.withOwnWatches()
		plain := &kubernetes.Client{Client: watching}
		client := &kubernetes.Client{Client: watching, Kubernetes: writes(plain)}
		// The storage asks this of its own client, which has no connection to ask.
		feature.DefaultFeatureSupportChecker.CheckClient(s.client.Ctx(), s.client, storage.RequestWatchProgress)
		versioner := storage.APIObjectVersioner{}
		raw, err := etcd3.New(client, s.compactor, config.Codec, newFunc, newListFunc, config.Prefix, resourcePrefix,
			config.GroupResource, identity.NewEncryptCheckTransformer(), config.LeaseManagerConfig,
			etcd3.NewDefaultDecoder(config.Codec, versioner), versioner)
		if err != nil {
			return nil, nil, fmt.Errorf("storage of %s: %w", config.GroupResource, err)
		}
		cached, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage:             raw,
			Versioner:           versioner,
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: config.EventsHistoryWindow,
			ResourcePrefix:      resourcePrefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        getAttrs,
			IndexerFuncs:        triggers,
			Indexers:            indexers,
			Codec:               config.Codec,
		})
		if err != nil {
			raw.Close()
			return nil, nil, fmt.Errorf("watch cache of %s: %w", config.GroupResource, err)
		}
		delegator := cacher.NewCacheDelegator(cached, raw)
		var once sync.Once // upstream calls it again for each subresource
		destroy := func() {
			once.Do(func() {
				delegator.Stop()
				cached.Stop()
				raw.Close()
				if err := watching.Watcher.Close(); err != nil {
					s.log.Debug("watches of a resource did not end well", "resource", config.GroupResource.String(), "error", err)
				}
			})
		}
		return delegator, destroy, nil
	}
}

// withOwnWatches returns a client whose watches share a stream with nobody else's. A watch cache asks etcd for progress
// before it answers a consistent read, and etcd says nothing of it on a stream on which any watch begins in the future,
// as the leader's does until the next write: every read would wait for seconds, and then go to etcd itself.
func (s *Store) withOwnWatches() *clientv3.Client {
	c := clientv3.NewCtxClient(s.client.Ctx())
	c.KV, c.Lease = s.client.KV, s.client.Lease
	c.Watcher = clientv3.NewWatcher(s.client)
	return c
}
