// Package conflicts tells users that a host which is none of ours uses the address of a Service: by a condition on the
// Service and by an event, both once for each time that it begins and ends. The condition is a field of its own, owned by
// server-side apply, so that nothing else of the Service is touched, whoever writes it meanwhile.
package conflicts

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// ConditionType is the condition of a Service whose address a foreign host uses. A Service that never had a conflict does
// not have it.
const ConditionType = "ingot.io/AddressConflict"

// Reasons of the condition and of the events.
const (
	ReasonForeignHost = "ForeignHost"
	ReasonResolved    = "Resolved"

	EventBegan = "AddressConflict"
	EventEnded = "AddressConflictResolved"
)

// fieldManager owns the condition.
const fieldManager = "ingot-apiserver"

const (
	// pause is the least time between two looks: what changes at once is one change.
	pause = 200 * time.Millisecond
	// writeTimeout bounds one request.
	writeTimeout = 10 * time.Second
	// mostTold bounds the conflicts that one condition lists.
	mostTold = 8
)

// Conflict is a foreign host that uses an address of ours.
type Conflict struct {
	Address netip.Addr
	// MAC is the host's hardware address.
	MAC string
	// Node heard it, on Interface.
	Node, Interface string
}

// String explains it in one sentence.
func (c Conflict) String() string {
	return fmt.Sprintf("another host with the hardware address %s uses %s: node %s heard it on %s", c.MAC, c.Address, c.Node, c.Interface)
}

// Options are what a Teller works with. All are required.
type Options struct {
	Services corev1client.ServicesGetter
	// Find and All are the Services as they are known.
	Find func(types.NamespacedName) (*corev1.Service, bool)
	All  func() []*corev1.Service
	// Event records an event on a Service, of a type of corev1, seen by a node.
	Event func(service *corev1.Service, node, kind, reason, message string)
	Log   *slog.Logger
}

// Teller tells of conflicts.
type Teller struct {
	Options
	wake chan struct{}

	mu sync.Mutex
	// want are the conflicts by Service; nil while this replica does not lead.
	want map[types.NamespacedName][]Conflict

	// concerned are the Services to look at, which Run owns; nil until those that have the condition were found.
	concerned map[types.NamespacedName]bool
	written   map[types.NamespacedName]written
}

// written is a condition that was written, and the Service that it was decided upon: until another version of that is
// known, it is how things are.
type written struct {
	version   string
	condition *metav1.Condition
}

// New returns a Teller.
func New(o Options) *Teller {
	return &Teller{Options: o, wake: make(chan struct{}, 1)}
}

// Tell makes these the conflicts that there are, by Service; nil says that this replica does not lead (any more). It does
// not block, and keeps the map.
func (t *Teller) Tell(conflicts map[types.NamespacedName][]Conflict) {
	t.mu.Lock()
	t.want = conflicts
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run writes until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	retry := backoff.Backoff{First: time.Second, Most: 30 * time.Second}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		for backoff.Sleep(ctx, pause) == nil {
			if t.look(ctx) {
				retry.Reset()
				break
			}
			if retry.Wait(ctx) != nil {
				return
			}
		}
	}
}

// look brings the conditions of all Services concerned up to date, and says whether it could.
func (t *Teller) look(ctx context.Context) (ok bool) {
	t.mu.Lock()
	want := t.want
	t.mu.Unlock()
	if want == nil {
		t.concerned, t.written = nil, nil
		return true
	}
	if t.concerned == nil {
		t.concerned, t.written = map[types.NamespacedName]bool{}, map[types.NamespacedName]written{}
		for _, svc := range t.All() {
			if meta.FindStatusCondition(svc.Status.Conditions, ConditionType) != nil {
				t.concerned[nameOf(svc)] = true
			}
		}
	}
	for name := range want {
		t.concerned[name] = true
	}
	ok = true
	for name := range t.concerned {
		svc, exists := t.Find(name)
		if !exists {
			delete(t.concerned, name)
			delete(t.written, name)
			continue
		}
		if err := t.tell(ctx, svc, want[name]); err != nil && ctx.Err() == nil {
			t.Log.Warn("the condition of a Service is not written", "op", "writeCondition", "service", name.String(), "error", err)
			ok = false
		}
	}
	return ok
}

// tell brings one Service up to date.
func (t *Teller) tell(ctx context.Context, svc *corev1.Service, conflicts []Conflict) error {
	name := nameOf(svc)
	is := meta.FindStatusCondition(svc.Status.Conditions, ConditionType)
	if w, wrote := t.written[name]; wrote && w.version == svc.ResourceVersion {
		is = w.condition
	}
	next, change := nextCondition(svc, is, conflicts)
	if !change {
		return nil
	}
	if err := t.write(ctx, svc, next); err != nil {
		return err
	}
	t.written[name] = written{svc.ResourceVersion, next}
	switch {
	case next == nil:
	case next.Status == metav1.ConditionTrue:
		t.Event(svc, conflicts[0].Node, corev1.EventTypeWarning, EventBegan, next.Message)
		for _, c := range conflicts {
			t.Log.Warn("another host uses an address", "event", "addressConflict", "service", name.String(), "ip", c.Address.String(), "mac", c.MAC,
				"interface", c.Interface, "node", c.Node)
		}
	default:
		t.Event(svc, "", corev1.EventTypeNormal, EventEnded, next.Message)
		t.Log.Info("no other host uses the addresses any more", "event", "addressConflictResolved", "service", name.String())
	}
	return nil
}

// nextCondition is what the condition of a Service shall be, nil for none, and whether that is another one than it is. While the
// same hosts use the same addresses the words stay, whichever node hears them.
func nextCondition(svc *corev1.Service, is *metav1.Condition, conflicts []Conflict) (next *metav1.Condition, change bool) {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil, is != nil
	}
	if len(conflicts) == 0 {
		if is == nil || is.Status != metav1.ConditionTrue {
			return is, false
		}
		return &metav1.Condition{Type: ConditionType, Status: metav1.ConditionFalse, Reason: ReasonResolved,
			Message: "no other host was heard using the addresses lately"}, true
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return a.Address.Compare(b.Address) })
	var words []string
	told := is != nil && is.Status == metav1.ConditionTrue
	for _, c := range conflicts[:min(len(conflicts), mostTold)] {
		words = append(words, c.String())
		told = told && strings.Contains(is.Message, c.MAC+" uses "+c.Address.String()+":")
	}
	if told && strings.Count(is.Message, " uses ") == len(words) {
		return is, false
	}
	return &metav1.Condition{Type: ConditionType, Status: metav1.ConditionTrue, Reason: ReasonForeignHost, Message: strings.Join(words, "; ")}, true
}

// write applies the condition, and nothing else.
func (t *Teller) write(ctx context.Context, svc *corev1.Service, c *metav1.Condition) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	status := applycorev1.ServiceStatus()
	if c != nil {
		status = status.WithConditions(applymetav1.Condition().WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
			WithLastTransitionTime(metav1.Now()))
	}
	config := applycorev1.Service(svc.Name, svc.Namespace).WithUID(svc.UID).WithStatus(status)
	_, err := t.Services.Services(svc.Namespace).ApplyStatus(ctx, config, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("apply condition %s: %w", ConditionType, err)
	}
	return nil
}

func nameOf(svc *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
}
