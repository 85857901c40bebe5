package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// observer is what a watch of our Services and their events has told.
type observer struct {
	namespace string
	mu        sync.Mutex
	addresses map[string]string    // of Services that have one, by namespace and name
	since     map[string]time.Time // when it was first seen
	last      time.Time            // the latest of these
	updates   int
	events    int // that a Service was given an address
}

// address is that of a Service, and when it was first seen.
func (o *observer) address(name string) (address string, since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := o.namespace + "/" + name
	return o.addresses[key], o.since[key]
}

// watch sees every Service and event, those of the bare loop too, so that both sides are burdened with it; those of the
// namespace count.
func watch(ctx context.Context, b *testing.B, client kubernetes.Interface, namespace string) *observer {
	b.Helper()
	o := &observer{namespace: namespace, addresses: map[string]string{}, since: map[string]time.Time{}}
	core := client.CoreV1().RESTClient()
	see := func(resource string, object runtime.Object, handler cache.ResourceEventHandlerFuncs) {
		informer := cache.NewSharedInformer(cache.NewListWatchFromClient(core, resource, "", fields.Everything()), object, 0)
		if _, err := informer.AddEventHandler(handler); err != nil {
			b.Fatal(err)
		}
		go informer.RunWithContext(ctx)
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			b.Fatal("the watch does not begin")
		}
	}
	see("services", &corev1.Service{}, cache.ResourceEventHandlerFuncs{AddFunc: o.added, UpdateFunc: o.updated})
	see("events", &corev1.Event{}, cache.ResourceEventHandlerFuncs{AddFunc: o.event})
	return o
}

func (o *observer) added(object any) {
	svc, ok := object.(*corev1.Service)
	if !ok || svc.Namespace != o.namespace || len(svc.Status.LoadBalancer.Ingress) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := svc.Namespace + "/" + svc.Name
	if o.addresses[key] == "" {
		o.last = time.Now()
		o.since[key] = o.last
	}
	o.addresses[key] = svc.Status.LoadBalancer.Ingress[0].IP
}

func (o *observer) updated(_, object any) {
	if svc, ok := object.(*corev1.Service); ok && svc.Namespace == o.namespace {
		o.mu.Lock()
		o.updates++
		o.mu.Unlock()
	}
	o.added(object)
}

func (o *observer) event(object any) {
	if e, ok := object.(*corev1.Event); ok && e.Namespace == o.namespace && e.Reason == "IPAllocated" {
		o.mu.Lock()
		o.events++
		o.mu.Unlock()
	}
}

// writes is how often Services were written after they were made.
func (o *observer) writes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.updates
}

// until waits until ok, which may look at what was observed.
func (o *observer) until(b *testing.B, what string, ok func() bool) {
	b.Helper()
	waitFor(b, what, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !ok() {
			return fmt.Errorf("%d addresses, %d events", len(o.addresses), o.events)
		}
		return nil
	})
}

// waitFor waits until check returns nil, for longer than package await would.
func waitFor(b *testing.B, what string, check func() error) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(slow); ; <-tick.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("not within %v: %s: %v", slow, what, err)
		}
	}
}

// usage is what a process has cost.
type usage struct {
	cpu            time.Duration
	resident, most float64 // MiB of memory, now and at most
}

// controller is the usage of the lab's controller, from proc(5).
func controller(ctx context.Context, b *testing.B, l *labtest.Lab) usage {
	b.Helper()
	status, err := l.Status(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, part := range status.Parts {
		if part.Name == "controller" && len(part.PIDs) == 1 {
			u, err := usageOf(part.PIDs[0])
			if err != nil {
				b.Fatal(err)
			}
			return u
		}
	}
	b.Fatal("the lab has no controller")
	return usage{}
}

func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// Behind the name, which ends with the last parenthesis, utime and stime are the 12th and 13th field, in
	// hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return u, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		for name, value := range map[string]*float64{"VmRSS:": &u.resident, "VmHWM:": &u.most} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				var kib float64
				if _, err := fmt.Sscan(rest, &kib); err != nil {
					return u, fmt.Errorf("/proc/%d/status: %w", pid, err)
				}
				*value = kib / 1024
			}
		}
	}
	return u, nil
}
