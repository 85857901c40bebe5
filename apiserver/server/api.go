package server

import (
	"fmt"

	genericserver "k8s.io/apiserver/pkg/server"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/conditions/writer"
	"github.com/ingot-lb/ingot/apiserver/live"
	"github.com/ingot-lb/ingot/apiserver/registry"
)

// liveVersion is the version of all kinds that are served from memory.
const liveVersion = "v1beta1"

// New returns the server with the group installed, and the objects that conditions are written to. It serves when it is
// run.
func (c CompletedConfig) New() (*genericserver.GenericAPIServer, writer.Objects, error) {
	server, err := c.generic.New("ingot-apiserver", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, nil, fmt.Errorf("aggregated server: %w", err)
	}
	storage, err := registry.New(install.Scheme, c.generic.RESTOptionsGetter, c.namespace, c.store.Current, c.judge, c.store)
	if err != nil {
		return nil, nil, fmt.Errorf("storage: %w", err)
	}
	for _, set := range c.live {
		storage[liveVersion][set.Kind().Plural] = live.NewREST(set)
	}
	group := genericserver.NewDefaultAPIGroupInfo(metallb.GroupName, install.Scheme, install.ParameterCodec, install.Codecs)
	group.NegotiatedSerializer = install.WithoutProtobuf(install.Codecs)
	group.VersionedResourcesStorageMap = storage
	if err := server.InstallAPIGroup(&group); err != nil {
		return nil, nil, fmt.Errorf("install %s: %w", metallb.GroupName, err)
	}
	// As in kube-apiserver: until the watch caches have what is stored, lists and watches are answered 429, and so /readyz says no.
	if err := server.AddPostStartHook("storage-readiness", server.StorageReadinessHook.Hook); err != nil {
		return nil, nil, fmt.Errorf("readiness of the storage: %w", err)
	}
	objects, err := newConditioned(c.namespace, storage, server.LoopbackClientConfig)
	if err != nil {
		return nil, nil, fmt.Errorf("conditions: %w", err)
	}
	return server, objects, nil
}
