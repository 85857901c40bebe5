package live

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/watch"
)

// leastWindow is how many changes are remembered at least; twice as many as there are objects, if that is more.
const leastWindow = 4096

// Set is the objects of one kind, all in one namespace, with their latest changes. Objects in it never change: an
// update replaces them.
type Set struct {
	kind      Kind
	namespace string
	clock     *Clock

	mu      sync.Mutex
	objects map[string]Object
	// history is the latest changes, oldest first. base is the version before them: the one of the change before, or of
	// the beginning.
	history []change
	base    uint64
	// changed is closed, and replaced, when there is more history.
	changed chan struct{}
	closed  bool
}

// change is one event, before anybody's selection.
type change struct {
	version uint64
	event   watch.EventType
	object  Object // for a deletion: the last state, at the version of the deletion
	before  Object // of a modification
}

// NewSet returns an empty set of objects in namespace.
func NewSet(kind Kind, namespace string, clock *Clock) *Set {
	return &Set{kind: kind, namespace: namespace, clock: clock, objects: map[string]Object{}, base: clock.next(), changed: make(chan struct{})}
}

// Kind is the kind of the objects.
func (s *Set) Kind() Kind { return s.kind }

// Object returns the object of that name as it is now. It is shared and must not be changed.
func (s *Set) Object(name string) (Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[name]
	return o, ok
}

// Names are those of all objects, sorted.
func (s *Set) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Update puts objects into the set, and takes those out whose names are given. It keeps the objects: they must not be
// changed any more. Namespace, identity and version are the set's to say. What is as it was before is no change;
// it returns how many there were.
func (s *Set) Update(put []Object, remove ...string) (changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0
	}
	for _, o := range put {
		o.SetNamespace(s.namespace)
		o.SetUID(s.kind.uid(s.namespace, o.GetName()))
		before, existed := s.objects[o.GetName()]
		event := watch.Added
		if existed {
			event = watch.Modified
			o.SetResourceVersion(before.GetResourceVersion())
			if apiequality.Semantic.DeepEqual(before, o) {
				continue
			}
		}
		s.objects[o.GetName()] = o
		s.record(change{event: event, object: o, before: before})
		changes++
	}
	for _, name := range remove {
		before, existed := s.objects[name]
		if !existed {
			continue
		}
		delete(s.objects, name)
		s.record(change{event: watch.Deleted, object: before.DeepCopyObject().(Object)})
		changes++
	}
	if changes > 0 {
		s.trim()
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return changes
}

// record gives the change its version. The caller holds mu.
func (s *Set) record(c change) {
	c.version = s.clock.next()
	c.object.SetResourceVersion(strconv.FormatUint(c.version, 10))
	s.history = append(s.history, c)
}

// trim forgets the oldest changes, many at a time. The caller holds mu.
func (s *Set) trim() {
	window := max(leastWindow, 2*len(s.objects))
	if over := len(s.history) - window; over > window/2 {
		s.base = s.history[over-1].version
		s.history = append([]change(nil), s.history[over:]...) // a copy: watchers read the old one
	}
}

// version is that of the latest change. The caller holds mu.
func (s *Set) version() uint64 {
	if n := len(s.history); n > 0 {
		return s.history[n-1].version
	}
	return s.base
}

// list returns all objects, sorted by name, and the version at which they are so.
func (s *Set) list() ([]Object, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.objects))
	slices.SortFunc(all, func(a, b Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, s.version()
}

// since returns the changes after a version that this set issued, and what is closed at the next change. It is errExpired for any other version, and for one that is older than what is remembered.
func (s *Set) since(version uint64) ([]change, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	if version == s.base {
		return s.history, s.changed, nil
	}
	i, known := slices.BinarySearchFunc(s.history, version, func(c change, v uint64) int { return cmp.Compare(c.version, v) })
	if !known {
		return nil, nil, expired(version)
	}
	return s.history[i+1:], s.changed, nil
}

// close ends all watches.
func (s *Set) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.changed)
	}
}
