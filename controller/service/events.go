package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// component is the source of our events.
const component = "metallb-controller"

// eventQueue is how many events may wait. client-go's recorder drops beyond 1,000, which is one burst of Services.
const eventQueue = 16384

// eventWriter writes events in the background. Each of ours tells of a change, so none are merged.
type eventWriter struct {
	client kubernetes.Interface
	log    *slog.Logger
	queue  chan *corev1.Event
	serial atomic.Uint64
}

func newEventWriter(client kubernetes.Interface, log *slog.Logger) *eventWriter {
	return &eventWriter{client: client, log: log, queue: make(chan *corev1.Event, eventQueue)}
}

// add queues an event about svc; where the queue is full the event is dropped, and the log has it.
func (w *eventWriter) add(svc *corev1.Service, n note) {
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			// As client-go names them, with a serial number because two may fall into one tick of a clock.
			Name:      fmt.Sprintf("%s.%x%04x", svc.Name, now.UnixNano(), w.serial.Add(1)&0xffff),
			Namespace: svc.Namespace,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name,
			UID: svc.UID, ResourceVersion: svc.ResourceVersion,
		},
		Type:                n.kind,
		Reason:              n.reason,
		Message:             n.message,
		Source:              corev1.EventSource{Component: component},
		ReportingController: component,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
	select {
	case w.queue <- event:
	default:
		w.log.Warn("too many events, dropping one", "service", keyOf(svc), "reason", n.reason, "message", n.message)
	}
}

// run writes until ctx ends.
func (w *eventWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.queue:
			w.write(ctx, event)
		}
	}
}

// write tries a few times, with growing pauses.
func (w *eventWriter) write(ctx context.Context, event *corev1.Event) {
	var last error
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 3, Jitter: 0.5, Steps: 4}
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		_, last = w.client.CoreV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
		return last == nil || !retriable(last), nil
	})
	if err != nil || last != nil {
		w.log.Warn("could not write an event", "service", event.Namespace+"/"+event.InvolvedObject.Name,
			"reason", event.Reason, "message", event.Message, "error", last)
	}
}
