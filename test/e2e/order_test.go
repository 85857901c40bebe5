package e2e

import (
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
)

// order is a handler of an informer that notes states which come after newer ones.
type order struct {
	mu     sync.Mutex
	newest map[string]uint64 // by name
	late   []string
}

var _ cache.ResourceEventHandler = &order{}

func newOrder() *order { return &order{newest: map[string]uint64{}} }

// OnAdd implements cache.ResourceEventHandler.
func (o *order) OnAdd(obj any, _ bool) { o.note(obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (o *order) OnUpdate(_, obj any) { o.note(obj) }

// OnDelete implements cache.ResourceEventHandler. What was deleted may come again.
func (o *order) OnDelete(any) {}

func (o *order) note(obj any) {
	state := obj.(*unstructured.Unstructured)
	version, err := strconv.ParseUint(state.GetResourceVersion(), 10, 64)
	o.mu.Lock()
	defer o.mu.Unlock()
	if newest := o.newest[state.GetName()]; err != nil || version < newest {
		o.late = append(o.late, fmt.Sprintf("%s: resource version %s came after %d", state.GetName(), state.GetResourceVersion(), newest))
	}
	o.newest[state.GetName()] = version
}

// wrong is what came late.
func (o *order) wrong() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.late
}
