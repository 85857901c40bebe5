package registry

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// kind is all that differs between one kind's storage and another's.
type kind struct {
	plural, singular string
	shortNames       []string
	versions         []string // those that serve the kind
	older            []older  // those of versions that are deprecated
	newObject        func() runtime.Object
	newList          func() runtime.Object
	parts            parts
	columns          []column
}

// object is a stored object of an internal type.
type object interface {
	runtime.Object
	metav1.Object
}

// parts handles the spec and the status of objects of one type.
type parts struct {
	keepSpec   func(dst, src runtime.Object)
	keepStatus func(dst, src runtime.Object)
	zeroStatus func(obj runtime.Object)
	sameSpec   func(a, b runtime.Object) bool
	// keepAll makes dst what src is, but for its status and managed fields.
	keepAll func(dst, src runtime.Object)
}

// partsOf derives parts from how to find spec and status in an object. Objects of another type are the server's own
// mistake and panic.
func partsOf[T, Spec, Status any, P interface {
	*T
	object
}](split func(P) (*Spec, *Status)) parts {
	spec := func(o runtime.Object) *Spec { s, _ := split(o.(P)); return s }
	status := func(o runtime.Object) *Status { _, s := split(o.(P)); return s }
	return parts{
		keepSpec:   func(dst, src runtime.Object) { *spec(dst) = *spec(src) },
		keepStatus: func(dst, src runtime.Object) { *status(dst) = *status(src) },
		zeroStatus: func(obj runtime.Object) { var zero Status; *status(obj) = zero },
		sameSpec:   func(a, b runtime.Object) bool { return apiequality.Semantic.DeepEqual(spec(a), spec(b)) },
		keepAll: func(dst, src runtime.Object) {
			to := dst.(P)
			fields, kept := to.GetManagedFields(), *status(dst)
			*to = *src.DeepCopyObject().(P)
			to.SetManagedFields(fields)
			*status(dst) = kept
		},
	}
}

// cell makes the content of a column out of an object; nil is empty.
func cell[T any, P interface {
	*T
	object
}](value func(P) any) func(runtime.Object) any {
	return func(o runtime.Object) any { return value(o.(P)) }
}
