// Package live is the REST storage of kinds that nobody writes: what components report is served as objects from
// memory, to be read, listed and watched as any other. Nothing of it reaches etcd (design.md section 4).
//
// Each replica of the apiserver hears the components itself, and serves what it heard. So a resource version has a
// meaning in the process that issued it, and there only: one of another process, or of before a restart, is answered
// 410 Expired, whereupon informers list anew; so does one that is older than the changes that are remembered. There is
// no way to continue a watch with a gap in it.
//
// A Set holds the objects of a kind. Whoever knows them calls Update with them, as often as it likes: what is the same as
// before is no event. A REST serves a Set.
package live

import (
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Object is an object of an internal type.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind is all that differs between one live kind and another.
type Kind struct {
	// Plural and Singular are the names of the resource, such as "configurationstates" and "configurationstate".
	Plural, Singular string
	ShortNames       []string
	// New and NewList return an empty object and an empty list, of the internal types.
	New     func() runtime.Object
	NewList func() runtime.Object
	// Columns are those that kubectl get shows after the name; Cells gives their content for an object.
	Columns []metav1.TableColumnDefinition
	Cells   func(runtime.Object) []any
}

// identities is the name space of the identities of live objects.
var identities = uuid.NewSHA1(uuid.NameSpaceDNS, []byte("live."+metallb.GroupName))

// uid is the identity of an object. It follows from the name: every replica, now and later, gives the same.
func (k *Kind) uid(namespace, name string) types.UID {
	return types.UID(uuid.NewSHA1(identities, []byte(k.Plural+"/"+namespace+"/"+name)).String())
}
