// Package events writes Kubernetes events on behalf of the speakers, which have no access to the cluster of their
// own: reasons nodeAssigned and announceFailed on a Service, when a node begins to announce it, or cannot (spec.md
// section 9.1); OwnerChanged, when a layer-2 address moves; and on a configuration object why it is not used.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Component is the source of the events, as users of MetalLB know it.
const Component = "metallb-speaker"

const (
	// queued bounds the events that wait to be written; the oldest make way.
	queued = 4096
	// attempts bounds the tries for one event.
	attempts = 8
	// retryFirst and retryLast bound the back-off between them.
	retryFirst = 200 * time.Millisecond
	retryLast  = 10 * time.Second
	// writeTimeout bounds one request.
	writeTimeout = 10 * time.Second
)

// Recorder writes events, one after the other, without ever making its callers wait.
type Recorder struct {
	events     corev1client.EventsGetter
	correlator *record.EventCorrelator
	log        *slog.Logger
	dropped    func()
	wake       chan struct{}

	mu    sync.Mutex
	queue []*corev1.Event
}

// New returns a Recorder that writes through events and calls dropped for each event that it has to give up.
func New(events corev1client.EventsGetter, log *slog.Logger, dropped func()) *Recorder {
	return &Recorder{
		events:     events,
		correlator: record.NewEventCorrelator(clock.RealClock{}),
		log:        log,
		dropped:    dropped,
		wake:       make(chan struct{}, 1),
	}
}

// NodeAssigned says that node has begun to announce service with protocol ("bgp" or "layer2").
func (r *Recorder) NodeAssigned(service *corev1.Service, node, protocol string) {
	r.enqueue(about(service, node, corev1.EventTypeNormal, "nodeAssigned", fmt.Sprintf("announcing from node %q with protocol %q", node, protocol)))
}

// AnnounceFailed says that node is to announce service and cannot; message says which address, and why.
func (r *Recorder) AnnounceFailed(service *corev1.Service, node, message string) {
	r.enqueue(about(service, node, corev1.EventTypeWarning, "announceFailed", message))
}

// NotAllocated says that service shows an address that is not announced because the ledger does not have it.
func (r *Recorder) NotAllocated(service *corev1.Service, message string) {
	r.enqueue(about(service, "", corev1.EventTypeWarning, "notAllocated", message))
}

// Service says what a node has seen about a service, or with no node what is so for all; kind is a type of event, reason
// a stable word.
func (r *Recorder) Service(service *corev1.Service, node, kind, reason, message string) {
	r.enqueue(about(service, node, kind, reason, message))
}

// NotUsed says why a configuration object has no effect, or not all of it; reason is a stable word.
func (r *Recorder) NotUsed(object corev1.ObjectReference, reason, message string) {
	r.enqueue(event(object, "", corev1.EventTypeWarning, reason, message))
}

func about(service *corev1.Service, node, kind, reason, message string) *corev1.Event {
	return event(corev1.ObjectReference{
		Kind: "Service", APIVersion: "v1",
		Namespace: service.Namespace, Name: service.Name, UID: service.UID,
		ResourceVersion: service.ResourceVersion,
	}, node, kind, reason, message)
}

func event(object corev1.ObjectReference, node, kind, reason, message string) *corev1.Event {
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s.%x", object.Name, rand.Uint64()),
			Namespace: object.Namespace,
		},
		InvolvedObject:      object,
		Type:                kind,
		Reason:              reason,
		Message:             message,
		Source:              corev1.EventSource{Component: Component, Host: node},
		ReportingController: Component,
		ReportingInstance:   node,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
}

func (r *Recorder) enqueue(event *corev1.Event) {
	r.mu.Lock()
	full := len(r.queue) == queued
	if full {
		copy(r.queue, r.queue[1:])
		r.queue = r.queue[:queued-1]
	}
	r.queue = append(r.queue, event)
	r.mu.Unlock()
	if full {
		r.dropped()
	}
	select {
	case r.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

func (r *Recorder) dequeue() *corev1.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue = nil // a burst's memory is not kept
		return nil
	}
	event := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	return event
}

// Run writes events until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		event := r.dequeue()
		if event == nil {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
				continue
			}
		}
		if err := r.write(ctx, event); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.dropped()
			r.log.Warn("event not written", "event", "eventDropped", "object", event.InvolvedObject.Kind+" "+event.InvolvedObject.Namespace+"/"+event.InvolvedObject.Name,
				"reason", event.Reason, "error", err)
		}
	}
}

// write puts one event, or raises the count of the like before it, and tries again while that may help.
func (r *Recorder) write(ctx context.Context, event *corev1.Event) error {
	correlated, err := r.correlator.EventCorrelate(event)
	if err != nil {
		return fmt.Errorf("correlate: %w", err)
	}
	if correlated.Skip {
		return nil
	}
	retry := backoff.Backoff{First: retryFirst, Most: retryLast}
	for try := 1; ; try++ {
		err := r.put(ctx, correlated)
		if apierrors.IsAlreadyExists(err) { // an earlier try, whose answer was lost
			return nil
		}
		if err == nil || try == attempts || permanent(err) {
			return err
		}
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}

func (r *Recorder) put(ctx context.Context, correlated *record.EventCorrelateResult) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	event := correlated.Event
	events := r.events.Events(event.Namespace)
	var written *corev1.Event
	var err error
	if event.Count > 1 {
		written, err = events.Patch(ctx, event.Name, types.StrategicMergePatchType, correlated.Patch, metav1.PatchOptions{})
	}
	if event.Count <= 1 || apierrors.IsNotFound(err) { // the event to count up may have expired
		event.ResourceVersion = ""
		written, err = events.Create(ctx, event, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	r.correlator.UpdateState(written)
	return nil
}

// permanent says that trying again would fail again.
func permanent(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}
