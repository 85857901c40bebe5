package install

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/versioning"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// StorageCodec writes objects to etcd as JSON in the version StorageVersion picks, and reads every version into the
// internal types. Never change what it writes in the release that introduces a version: the replica before an
// upgrade has to read it.
func StorageCodec() runtime.Codec {
	plain := json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme, Scheme, json.SerializerOptions{})
	return versioning.NewDefaultingCodecForScheme(Scheme, plain, Codecs.UniversalDeserializer(),
		StorageVersion(Scheme), runtime.InternalGroupVersioner)
}

// StorageVersion picks for each kind of the group the preferred one of the versions that have the kind.
func StorageVersion(scheme *runtime.Scheme) runtime.GroupVersioner { return storageVersion{scheme} }

type storageVersion struct{ scheme *runtime.Scheme }

// KindForGroupVersionKinds implements runtime.GroupVersioner.
func (s storageVersion) KindForGroupVersionKinds(kinds []schema.GroupVersionKind) (schema.GroupVersionKind, bool) {
	for _, kind := range kinds {
		if kind.Group != metallb.GroupName {
			continue
		}
		for _, version := range s.scheme.PrioritizedVersionsForGroup(kind.Group) {
			if stored := version.WithKind(kind.Kind); s.scheme.Recognizes(stored) {
				return stored, true
			}
		}
	}
	return schema.GroupVersionKind{}, false
}

// Identifier implements runtime.GroupVersioner.
func (s storageVersion) Identifier() string { return "metallb.io/storage" }
