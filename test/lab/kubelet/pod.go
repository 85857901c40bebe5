package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/reference"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
	"github.com/ingot-lb/ingot/test/lab/kubelet/volumes"
	"github.com/ingot-lb/ingot/test/lab/process"
)

// pod is a Pod on the node. One goroutine, that of work, does all that takes time; others look, and wake it.
type pod struct {
	k       *Kubelet
	uid     types.UID
	key     types.NamespacedName
	began   time.Time
	awake   chan struct{}
	working atomic.Bool

	// Of the goroutine of work.
	volumes volumes.Volumes
	made    map[string]volumes.Volume
	backoff *flowcontrol.Backoff // of restarts, by container
	retries *flowcontrol.Backoff // of "volumes", "network" and images
	removed bool                 // the object has been taken away, which the watch has yet to say
	renew   time.Time            // when a token in a volume has to be renewed
	told    map[string]string    // the last complaint about each, so that it is not told again and again
	ctx     context.Context      // of the Run that goes on

	mu        sync.Mutex
	object    *corev1.Pod
	gone      bool // the object is
	sandbox   *Sandbox
	instances map[string]*instance
}

// instance is a container's state through all its starts. pod.mu guards it.
type instance struct {
	name    string
	process *process.Process // the last one
	running bool             // until its end has been taken note of
	log     *logs.File
	stopBy  time.Time // when it will be killed; zero: nobody wants it to end
	starts  int
	id      string
	image   string
	imageID string
	state   corev1.ContainerState
	last    corev1.ContainerState
	held    bool
	healthy bool // by its liveness probe
	started bool // by its startup probe
	ready   bool
	unasked context.CancelFunc // ends the probes
	logPath string
	before  string // the log of the start before
	message string // the file for its last words
	as      container.Process
}

func newPod(k *Kubelet, object *corev1.Pod) *pod {
	dir := filepath.Join(k.State, "pods", string(object.UID))
	return &pod{
		k: k, uid: object.UID, key: types.NamespacedName{Namespace: object.Namespace, Name: object.Name}, began: time.Now(),
		awake: make(chan struct{}, 1), object: object, instances: map[string]*instance{}, told: map[string]string{},
		backoff: flowcontrol.NewBackOff(k.BackOff, 30*k.BackOff), retries: flowcontrol.NewBackOff(k.BackOff/20, 12*k.BackOff),
		volumes: volumes.Volumes{Dir: filepath.Join(dir, "volumes"), Root: k.Root, Client: k.Client, Allocatable: allocatable(), Log: k.log},
	}
}

// dir is what the kubelet keeps of the Pod.
func (p *pod) dir() string { return filepath.Dir(p.volumes.Dir) }

// kick has work look at the Pod.
func (p *pod) kick() {
	select {
	case p.awake <- struct{}{}:
	default: // it will look anyway
	}
}

// work brings the Pod to what its object says, again and again, until it is gone or ctx ends.
func (p *pod) work(ctx context.Context) {
	defer p.working.Store(false)
	p.volumes.Objects = p.k.objects
	p.resume(ctx)
	for ctx.Err() == nil {
		next, over := p.sync(ctx)
		if over {
			return
		}
		var timer *time.Timer
		var elapsed <-chan time.Time
		if !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			elapsed = timer.C
		}
		select {
		case <-ctx.Done():
		case <-p.awake:
		case <-elapsed:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// instance is that of a container, made at its first mention. pod.mu must be held.
func (p *pod) instance(name string) *instance {
	i := p.instances[name]
	if i == nil {
		i = &instance{name: name, state: waiting("ContainerCreating", "")}
		p.instances[name] = i
	}
	return i
}

// current is the Pod's object, with the addresses that it has here.
func (p *pod) current() (object *corev1.Pod, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	object = p.object.DeepCopy()
	pictured := picture{pod: object, host: p.k.Addresses, ips: p.k.addressesOf(p.sandbox)}
	status := pictured.status(object.Status, time.Now())
	object.Status.HostIP, object.Status.HostIPs = status.HostIP, status.HostIPs
	object.Status.PodIP, object.Status.PodIPs = status.PodIP, status.PodIPs
	return object, p.gone
}

// event tells of the Pod, or of one of its containers.
func (p *pod) event(kind, containerName, reason, format string, args ...any) {
	p.mu.Lock()
	object := p.object
	isInit := false
	for _, c := range object.Spec.InitContainers {
		isInit = isInit || c.Name == containerName
	}
	p.mu.Unlock()
	path := ""
	switch {
	case containerName != "" && isInit:
		path = "spec.initContainers{" + containerName + "}"
	case containerName != "":
		path = "spec.containers{" + containerName + "}"
	}
	ref, err := reference.GetPartialReference(scheme.Scheme, object, path)
	if err != nil {
		p.k.log.Error("an event's object", "pod", p.key.String(), "error", err)
		return
	}
	p.k.recorder().Eventf(ref, kind, reason, format, args...)
}

// takeDown lets go of all that the Pod had. Nothing may run in it any more.
func (p *pod) takeDown() error {
	p.mu.Lock()
	sandbox := p.sandbox
	p.sandbox = nil
	p.mu.Unlock()
	var err error
	if sandbox != nil && sandbox.Close != nil {
		err = sandbox.Close()
	}
	if err = errors.Join(err, p.volumes.TearDown()); err != nil {
		return err
	}
	return os.RemoveAll(p.dir())
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}
