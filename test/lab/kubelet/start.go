package kubelet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/env"
	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
)

// ensure has a container run if it should. It returns when to look again.
func (p *pod) ensure(ctx context.Context, object *corev1.Pod, c *corev1.Container) (next time.Time) {
	p.mu.Lock()
	i := p.instance(c.Name)
	running, starts, held, healthy, ended := i.running, i.starts, i.held, i.healthy, i.last
	if i.state.Terminated != nil {
		ended = i.state
	}
	p.mu.Unlock()
	switch {
	case running && healthy, held:
		return time.Time{}
	case running:
		p.stopContainer(ctx, c, graceOf(object, c), fmt.Sprintf("Container %s failed liveness probe, will be restarted", c.Name))
		return time.Time{}
	}
	if t := ended.Terminated; starts > 0 && t != nil {
		switch object.Spec.RestartPolicy {
		case corev1.RestartPolicyNever:
			return time.Time{}
		case corev1.RestartPolicyOnFailure:
			if t.ExitCode == 0 {
				return time.Time{}
			}
		}
		if p.backoff.IsInBackOffSince(c.Name, t.FinishedAt.Time) {
			return p.crashLoop(object, c, t.FinishedAt.Time)
		}
		p.backoff.Next(c.Name, t.FinishedAt.Time)
	}
	return p.start(object, c)
}

// crashLoop has a container wait that ended too often.
func (p *pod) crashLoop(object *corev1.Pod, c *corev1.Container, since time.Time) time.Time {
	delay := p.backoff.Get(c.Name)
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, c.Name, describe(object))
	p.mu.Lock()
	i := p.instance(c.Name)
	if i.state.Terminated != nil {
		i.last = i.state
	}
	told := i.state.Waiting != nil && i.state.Waiting.Message == message
	i.state = waiting("CrashLoopBackOff", message)
	p.mu.Unlock()
	if !told {
		p.event(corev1.EventTypeWarning, c.Name, "BackOff", "Back-off restarting failed container %s in pod %s", c.Name, describe(object))
	}
	return since.Add(delay)
}

// wait has a container that cannot be started wait for a reason, and says when it is tried again.
func (p *pod) wait(c *corev1.Container, reason string, err error) time.Time {
	p.mu.Lock()
	i := p.instance(c.Name)
	if i.state.Terminated != nil {
		i.last = i.state
	}
	i.state = waiting(reason, err.Error())
	p.mu.Unlock()
	p.complain(c.Name, "Failed", fmt.Errorf("Error: %w", err))
	return p.later(c.Name)
}

// start starts a container.
func (p *pod) start(object *corev1.Pod, c *corev1.Container) time.Time {
	i, ok := p.k.Image(c.Image)
	if !ok {
		return p.noImage(c)
	}
	spec, err := p.spec(object, c, i)
	if err != nil {
		return p.wait(c, "CreateContainerConfigError", err)
	}
	p.retries.DeleteEntry(c.Name)
	p.event(corev1.EventTypeNormal, c.Name, "Pulled", "Container image %q already present on machine", c.Image)
	p.mu.Lock()
	instance := p.instance(c.Name)
	attempt := instance.starts
	p.mu.Unlock()
	path := filepath.Join(p.k.logs(object), c.Name, fmt.Sprintf("%d.log", attempt))
	log, err := logs.Create(path)
	if err != nil {
		return p.wait(c, "CreateContainerError", err)
	}
	p.event(corev1.EventTypeNormal, c.Name, "Created", "Container created")
	began := time.Now()
	started, err := p.k.runtime.Start(*spec, p.sandboxNetwork(), container.Streams{Output: log.Stdout, Errors: log.Stderr})
	err = errors.Join(err, log.CloseStreams())

	p.mu.Lock()
	if instance.state.Terminated != nil {
		instance.last = instance.state
	}
	old := instance.before
	instance.starts, instance.id, instance.imageID = attempt+1, newID(), c.Image+"@lab"
	instance.before, instance.logPath, instance.log = instance.logPath, path, log
	instance.stopBy, instance.as, instance.process = time.Time{}, spec.Process, started
	instance.message = filepath.Join(p.dir(), c.Name+".message")
	if err == nil {
		instance.running = true
		instance.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(began)}}
		instance.healthy, instance.started, instance.ready = true, c.StartupProbe == nil, c.StartupProbe == nil && c.ReadinessProbe == nil
	} else {
		instance.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: err.Error(), StartedAt: metav1.NewTime(began), FinishedAt: metav1.Now(),
			ContainerID: "lab://" + instance.id,
		}}
	}
	p.mu.Unlock()
	if old != "" {
		_ = os.Remove(old) // kubelets keep the logs of two starts
	}
	if err != nil {
		p.event(corev1.EventTypeWarning, c.Name, "Failed", "Error: failed to start container %q: %v", c.Name, err)
		p.kick()
		return time.Time{}
	}
	p.event(corev1.EventTypeNormal, c.Name, "Started", "Container started")
	go func() {
		<-started.Done()
		p.kick()
	}()
	p.ask(object, c)
	return time.Time{}
}

// noImage is what a kubelet says of an image that no registry has.
func (p *pod) noImage(c *corev1.Container) time.Time {
	p.mu.Lock()
	tried := p.instance(c.Name).state.Waiting
	p.mu.Unlock()
	if tried == nil || tried.Reason != "ErrImagePull" {
		return p.wait(c, "ErrImagePull", fmt.Errorf("failed to pull and unpack image %q: the lab has no such image", c.Image))
	}
	return p.wait(c, "ImagePullBackOff", fmt.Errorf("Back-off pulling image %q", c.Image))
}

// spec is what a container is started from. The error is what a kubelet says of a manifest that cannot be followed.
func (p *pod) spec(object *corev1.Pod, c *corev1.Container, i image.Image) (*container.Spec, error) {
	process, err := identity(object, c, i)
	if err != nil {
		return nil, err
	}
	variables, err := p.environment(object, c)
	if err != nil {
		return nil, err
	}
	lookup := func(name string) (string, bool) { value, ok := variables[name]; return value, ok }
	command, args := env.ExpandAll(c.Command, lookup), env.ExpandAll(c.Args, lookup)
	if len(command) == 0 {
		command = i.Entrypoint
	}
	process.Args = append(slices.Clone(command), args...)
	process.Env = env.List(append([]string{"HOME=/", "HOSTNAME=" + hostname(object)}, i.Env...), variables)
	process.Dir = c.WorkingDir
	if process.Dir == "" {
		process.Dir = "/"
	}
	spec := &container.Spec{
		Process: process, Directory: p.k.rootfs(), Files: i.Files, Program: filepath.Join(p.k.Bin, i.Program()), Hostname: hostname(object),
	}
	if s := c.SecurityContext; s != nil && s.ReadOnlyRootFilesystem != nil {
		spec.ReadOnly = *s.ReadOnlyRootFilesystem
	}
	own, err := p.ownFiles(object, c, spec.ReadOnly)
	if err != nil {
		return nil, err
	}
	if spec.Mounts, err = p.mounts(c, lookup); err != nil {
		return nil, err
	}
	for _, m := range own {
		// A volume in its place is what the manifest wants.
		if !slices.ContainsFunc(spec.Mounts, func(o container.Mount) bool { return path.Clean(o.Target) == m.Target }) {
			spec.Mounts = append(spec.Mounts, m)
		}
	}
	slices.SortStableFunc(spec.Mounts, func(a, b container.Mount) int {
		return strings.Count(path.Clean(a.Target), "/") - strings.Count(path.Clean(b.Target), "/")
	})
	return spec, nil
}

func (p *pod) environment(object *corev1.Pod, c *corev1.Container) (map[string]string, error) {
	services, err := p.k.serviceList()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return env.Source{
		Pod: object, Services: services, Allocatable: allocatable(),
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			return p.k.objects.ConfigMap(ctx, object.Namespace, name)
		},
		Secret: func(name string) (*corev1.Secret, error) { return p.k.objects.Secret(ctx, object.Namespace, name) },
	}.Of(c)
}

// ownFiles are those that every container gets from the kubelet.
func (p *pod) ownFiles(object *corev1.Pod, c *corev1.Container, readOnly bool) ([]container.Mount, error) {
	addresses := p.sandboxAddresses()
	var node []byte
	if p.k.Resolver != "" {
		var err error
		if node, err = os.ReadFile(p.k.Resolver); err != nil {
			return nil, err
		}
	}
	var mounts []container.Mount
	for _, f := range []struct{ name, target, text string }{
		{"hosts", "/etc/hosts", hosts(object, addresses, p.k.Domain)},
		{"resolv.conf", "/etc/resolv.conf", resolvConf(object, p.k.DNS, p.k.Domain, string(node))},
		{"hostname", "/etc/hostname", hostname(object) + "\n"},
	} {
		source := filepath.Join(p.dir(), f.name)
		if err := writeFile(source, f.text, 0o644); err != nil {
			return nil, err
		}
		mounts = append(mounts, container.Mount{Source: source, Target: f.target, ReadOnly: readOnly})
	}
	message := filepath.Join(p.dir(), c.Name+".message")
	if err := writeFile(message, "", 0o666); err != nil {
		return nil, err
	}
	target := c.TerminationMessagePath
	if target == "" {
		target = corev1.TerminationMessagePathDefault
	}
	return append(mounts, container.Mount{Source: message, Target: target}), nil
}

func writeFile(name, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// mounts are the container's volumes.
func (p *pod) mounts(c *corev1.Container, lookup func(string) (string, bool)) ([]container.Mount, error) {
	var all []container.Mount
	for _, m := range c.VolumeMounts {
		volume, ok := p.made[m.Name]
		if !ok {
			return nil, fmt.Errorf("volume %q is not there", m.Name)
		}
		source := volume.Path
		sub := m.SubPath
		if m.SubPathExpr != "" {
			sub = env.Expand(m.SubPathExpr, lookup)
		}
		if sub != "" {
			var err error
			if source, err = below(source, sub); err != nil {
				return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, c.Name, err)
			}
		}
		all = append(all, container.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || volume.ReadOnly})
	}
	return all, nil
}

// below is a path in a volume, made as a directory unless it is there. Links that lead out of the volume are refused.
func below(volume, sub string) (string, error) {
	root, err := os.OpenRoot(volume)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if _, err := root.Stat(sub); errors.Is(err, os.ErrNotExist) {
		err = root.MkdirAll(sub, 0o755)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(filepath.Join(volume, sub))
}

// newID is the identity of one start of a container.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
