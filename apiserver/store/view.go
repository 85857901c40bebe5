package store

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// view is the decoded configuration at one revision of the guard. It is never changed. Writes that are exempt
// from the guard (status) may be missing from it.
type view struct {
	guard guardState // zero before anything was read
	// entries are sorted by key, as etcd returns them. Views share them.
	entries []*entry
	config  *metallb.Configuration
}

type entry struct {
	key         string
	modRevision int64
	hash        uint64 // of the value; a modification revision alone may come twice, as the guard's
	object      runtime.Object
}

// guardState is the guard as it was read or written.
type guardState struct {
	revision int64 // the configuration revision
	value    string
}

// unmoved are the comparisons that hold while the guard is in this state.
func (g guardState) unmoved() []clientv3.Cmp {
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(guardKey), "=", g.revision),
		clientv3.Compare(clientv3.Value(guardKey), "=", g.value),
	}
}

func guardOf(kvs []*mvccpb.KeyValue) (guardState, error) {
	if len(kvs) != 1 {
		return guardState{}, fmt.Errorf("%w: the guard is gone", ErrReplaced)
	}
	return guardState{kvs[0].ModRevision, string(kvs[0].Value)}, nil
}

var hashSeed = maphash.MakeSeed()

func hashOf(value []byte) uint64 { return maphash.Bytes(hashSeed, value) }

func newView(guard guardState, entries []*entry) *view {
	return &view{guard: guard, entries: entries, config: &metallb.Configuration{
		IPAddressPools:    objectsOf[metallb.IPAddressPool](entries, "ipaddresspools"),
		AddressPools:      objectsOf[metallb.AddressPool](entries, "addresspools"),
		L2Advertisements:  objectsOf[metallb.L2Advertisement](entries, "l2advertisements"),
		BGPAdvertisements: objectsOf[metallb.BGPAdvertisement](entries, "bgpadvertisements"),
		BGPPeers:          objectsOf[metallb.BGPPeer](entries, "bgppeers"),
		BFDProfiles:       objectsOf[metallb.BFDProfile](entries, "bfdprofiles"),
		Communities:       objectsOf[metallb.Community](entries, "communities"),
		IPReservations:    objectsOf[metallb.IPReservation](entries, "ipreservations"),
		MetalLBs:          objectsOf[metallb.MetalLB](entries, "metallbs"),
	}}
}

// objectsOf returns the objects of a resource, nil where there are none. The keys of a resource follow one another.
func objectsOf[T any](entries []*entry, resource string) []*T {
	prefix := objectPrefix + resource + "/"
	from, _ := slices.BinarySearchFunc(entries, prefix, byKey)
	to, _ := slices.BinarySearchFunc(entries, clientv3.GetPrefixRangeEnd(prefix), byKey)
	if from == to {
		return nil
	}
	objects := make([]*T, 0, to-from) // of this size at once: each write among 10,000 pools makes such a list
	for _, e := range entries[from:to] {
		if o, ok := any(e.object).(*T); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

func (v *view) find(key string) (int, bool) {
	return slices.BinarySearchFunc(v.entries, key, byKey)
}

// object returns the object stored under key, or nil.
func (v *view) object(key string) runtime.Object {
	if i, found := v.find(key); found {
		return v.entries[i].object
	}
	return nil
}

// with returns the view after a commit that left the guard as given and stored object, whose encoding has the hash,
// under key, or deleted it (nil). So the writer of an uncontended series of writes never reads the objects back.
func (v *view) with(key string, object runtime.Object, guard guardState, hash uint64) *view {
	if object != nil {
		return newView(guard, merge(v.entries, []*entry{{key: key, modRevision: guard.revision, hash: hash, object: object}}))
	}
	i, found := v.find(key)
	if !found {
		return newView(guard, v.entries)
	}
	return newView(guard, slices.Delete(slices.Clone(v.entries), i, i+1))
}

// merge puts changed entries into the place of those with the same keys, or between others. Both lists are sorted.
func merge(entries, changed []*entry) []*entry {
	merged := make([]*entry, 0, len(entries)+len(changed))
	for _, c := range changed {
		i, found := slices.BinarySearchFunc(entries, c.key, byKey)
		merged = append(append(merged, entries[:i]...), c)
		if found {
			i++
		}
		entries = entries[i:]
	}
	return append(merged, entries...)
}

func byKey(e *entry, key string) int { return strings.Compare(e.key, key) }
