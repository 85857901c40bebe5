package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	period       = time.Second     // between two looks at every container
	probeTimeout = 2 * time.Second // as deploy/base has it
	writeTimeout = 5 * time.Second
	// unansweredMost is how many probes in a row a container that was ready may leave without an answer in time until it is not
	// ready any more, as deploy/base has it: one may be late because the machine is busy, and a Service without its only endpoint
	// answers nobody.
	unansweredMost = 2
)

// Pods keeps the Pods of all nodes of a lab.
type Pods struct {
	client kubernetes.Interface
	log    *slog.Logger
	kick   chan struct{}

	mu   sync.Mutex
	pods map[types.NamespacedName]*tracked
}

// tracked is a Pod that exists. What comes last belongs to the loop of Run.
type tracked struct {
	Pod
	uid     types.UID
	created time.Time
	before  int // starts of the container before there was this Pod

	seen       observation // the last time
	unanswered int         // probes in a row
	written    *observation
}

// New returns them; they are kept once Run runs.
func New(client kubernetes.Interface, log *slog.Logger) *Pods {
	return &Pods{client: client, log: log, kick: make(chan struct{}, 1), pods: map[types.NamespacedName]*tracked{}}
}

// Ensure makes the Pod unless it is there, and keeps its status from then on. A Pod made before is known without
// asking anybody, so that its process can be started while the kube-apiserver is away. It tries until ctx ends:
// a Pod of that name may still be going, and its ServiceAccount may still be coming.
func (k *Pods) Ensure(ctx context.Context, p Pod) error {
	k.mu.Lock()
	_, known := k.pods[p.Key()]
	k.mu.Unlock()
	if known {
		return nil
	}
	var last error
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.3, Jitter: 0.2, Steps: 1000, Cap: time.Second}
	err := backoff.DelayFunc().Until(ctx, true, false, func(ctx context.Context) (bool, error) {
		var object *corev1.Pod
		if object, last = k.client.CoreV1().Pods(p.Namespace).Create(ctx, p.object(), metav1.CreateOptions{}); last != nil {
			return false, nil
		}
		k.mu.Lock()
		k.pods[p.Key()] = &tracked{
			Pod: p, uid: object.UID, created: object.CreationTimestamp.Time, before: p.Container.Starts(),
		}
		k.mu.Unlock()
		k.Kick()
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("making Pod %s: %w (last answer: %w)", p.Key(), err, last)
	}
	return nil
}

// UID is that of a Pod made by Ensure.
func (k *Pods) UID(key types.NamespacedName) (types.UID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.pods[key]; p != nil {
		return p.uid, nil
	}
	return "", fmt.Errorf("there is no Pod %s", key)
}

// Kick has Run look at the containers now, because one changed.
func (k *Pods) Kick() {
	select {
	case k.kick <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run keeps statuses and finishes deletions until ctx ends.
func (k *Pods) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return k.deletions(ctx) })
	g.Go(func() error {
		for {
			k.observe(ctx)
			timer := time.NewTimer(wait.Jitter(period, 0.2))
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-k.kick:
				timer.Stop()
			case <-timer.C:
			}
		}
	})
	return g.Wait()
}

// observe looks at every container and writes the status of those that changed. What could not be written is written
// the next time.
func (k *Pods) observe(ctx context.Context) {
	k.mu.Lock()
	pods := make([]*tracked, 0, len(k.pods))
	for _, p := range k.pods {
		pods = append(pods, p)
	}
	k.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range pods {
		all.Go(func() {
			now := p.observe(ctx)
			if p.written != nil && *p.written == now {
				return
			}
			if err := k.write(ctx, p, now); err != nil {
				p.written = nil // unknown: it may have been written, and only the answer got lost
				if ctx.Err() != nil {
					return
				}
				k.log.Warn("pod status", "pod", p.Key().String(), "error", err)
				return
			}
			p.written = &now
		})
	}
	all.Wait()
}

// observe looks at the container. Whoever says that it is not ready is believed at once; who says nothing in time stays what it
// was for some probes, unless it was started since.
func (p *tracked) observe(ctx context.Context) observation {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	now := observation{alive: p.Container.Alive(), starts: p.Container.Starts() - p.before}
	var err error
	if now.alive {
		err = p.Container.Ready(ctx)
	}
	switch {
	case err == nil || ctx.Err() == nil:
		p.unanswered, now.ready = 0, now.alive && err == nil
	default:
		p.unanswered++
		now.ready = p.seen.ready && p.seen.starts == now.starts && p.unanswered < unansweredMost
	}
	p.seen = now
	return now
}

func (k *Pods) write(ctx context.Context, p *tracked, o observation) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.uid}, // not another Pod of the same name
		"status":   p.status(o, p.created, time.Now()),
	})
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil // the watch will say so too
	}
	return err
}

// forget stops keeping a Pod and returns it, if it is kept and is the one with that uid.
func (k *Pods) forget(key types.NamespacedName, uid types.UID) *tracked {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pods[key]
	if p == nil || p.uid != uid {
		return nil
	}
	delete(k.pods, key)
	return p
}
