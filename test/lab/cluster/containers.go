package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/kubelet"
	"github.com/ingot-lb/ingot/test/lab/part"
)

// unit is whatever has a name among the parts.
type unit interface {
	Name() part.Name
	Kill(context.Context) error
	Stop(context.Context) error
	Start(context.Context) error
	Pause(context.Context) error
	Resume(context.Context) error
	report(ctx context.Context, outer map[int]int) control.Part
}

// containers are the containers of Pods that a part's name stands for: one, or for what has no instance all replicas. Which
// ones these are may change with every Pod.
type containers struct {
	name part.Name
	all  []located
}

type located struct {
	kubelet.Container
	on *nodeKubelet
}

// now is the container as it is by now. It is an error if its Pod has gone.
func (l located) now() (kubelet.Container, error) {
	all := l.on.containers()
	i := slices.IndexFunc(all, func(c kubelet.Container) bool { return c.UID == l.UID && c.Name == l.Name })
	if i < 0 {
		return kubelet.Container{}, fmt.Errorf("the Pod %s has gone", l.Pod)
	}
	return all[i], nil
}

// container is in which namespace, and by which name, a kind of part is looked for among the containers of Pods.
var container = map[string]struct{ namespace, name string }{
	part.APIServer: {namespace, "apiserver"}, part.Controller: {namespace, "controller"}, part.Webhooks: {namespace, "webhooks"},
	part.Speaker: {namespace, "speaker"}, part.IngotEtcd: {namespace, "etcd"}, part.Web: {"default", "web"},
}

// deployed are the parts that run in Pods now, by kind and then by name.
func (l *Lab) deployed() []*containers {
	var units []*containers
	for _, kind := range []string{part.IngotEtcd, part.APIServer, part.Controller, part.Webhooks, part.Speaker, part.Web} {
		wanted := container[kind]
		var found []located
		for _, k := range l.kubelets {
			for _, c := range k.containers() {
				if c.Pod.Namespace == wanted.namespace && c.Name == wanted.name {
					found = append(found, located{c, k})
				}
			}
		}
		slices.SortFunc(found, func(a, b located) int { return strings.Compare(a.Pod.Name, b.Pod.Name) })
		switch kind {
		case part.Speaker, part.Web:
			for _, c := range found {
				name := part.Name{Kind: kind, Instance: c.on.name.Instance}
				i := slices.IndexFunc(units, func(u *containers) bool { return u.name == name })
				if i < 0 {
					units = append(units, &containers{name: name})
					i = len(units) - 1
				}
				units[i].all = append(units[i].all, c)
			}
		case part.APIServer:
			for i, c := range found {
				units = append(units, &containers{part.Name{Kind: kind, Instance: strconv.Itoa(i + 1)}, []located{c}})
			}
		default:
			if len(found) > 0 {
				units = append(units, &containers{part.Name{Kind: kind}, found})
			}
		}
	}
	return units
}

// units are all that have names now.
func (l *Lab) units() []unit {
	var all []unit
	for _, p := range l.parts {
		all = append(all, p)
	}
	for _, k := range l.kubelets {
		all = append(all, k)
	}
	for _, c := range l.deployed() {
		all = append(all, c)
	}
	return all
}

func (c *containers) Name() part.Name { return c.name }

// Kill ends the containers, which their kubelets do not start again before Start.
func (c *containers) Kill(ctx context.Context) error { return c.end(ctx, syscall.SIGKILL) }

// Stop is Kill by SIGTERM.
func (c *containers) Stop(ctx context.Context) error { return c.end(ctx, syscall.SIGTERM) }

func (c *containers) end(ctx context.Context, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	live := 0
	for _, one := range c.all {
		if one.PID == 0 {
			continue
		}
		live++
		err := one.on.kubelet.Hold(one.Pod, one.Name)
		if err == nil {
			err = one.on.kubelet.Kill(ctx, one.Pod, one.Name, signal)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if live == 0 {
		return fmt.Errorf("%s does not run", c.name)
	}
	return nil
}

// Start lets kubelets start the containers again, and waits until they are ready.
func (c *containers) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, one := range c.all {
		if !one.Held {
			return fmt.Errorf("%s was not stopped: its kubelet starts it", c.name)
		}
		if err := one.on.kubelet.Release(one.Pod, one.Name); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for _, one := range c.all {
		for {
			now, err := one.now()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if now.Ready {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: not ready in time", c.name)
			case <-time.After(probePeriod):
			}
		}
	}
	return nil
}

// Pause stops the containers where they are, and returns when they stand.
func (c *containers) Pause(ctx context.Context) error {
	if err := c.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for _, one := range c.all {
		for {
			now, err := one.now()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if now.Paused || now.PID == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", c.name, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

func (c *containers) Resume(context.Context) error { return c.signal(syscall.SIGCONT) }

func (c *containers) signal(signal syscall.Signal) error {
	for _, one := range c.all {
		if err := one.on.kubelet.Signal(one.Pod, one.Name, signal); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (c *containers) report(_ context.Context, outer map[int]int) control.Part {
	r := control.Part{Name: c.name.String(), State: control.Running, Health: "ok"}
	var places []string
	for _, one := range c.all {
		places = append(places, one.on.name.Instance)
		r.Log = one.LogPath
		switch {
		case one.PID == 0:
			r.State, r.Health = control.Dead, one.Reason
			if one.Held {
				r.Health = "stopped: " + one.Reason
			}
			continue
		case one.Paused && r.State == control.Running:
			r.State, r.Health = control.Paused, "paused"
		case !one.Ready && r.Health == "ok":
			r.Health = "not ready"
		}
		r.PIDs = append(r.PIDs, outer[one.PID])
	}
	slices.Sort(places)
	r.Place = strings.Join(slices.Compact(places), ",")
	return r
}

// closeKubelets ends all that runs in Pods.
func (l *Lab) closeKubelets(ctx context.Context) {
	ends := make(chan error, len(l.kubelets))
	for _, k := range l.kubelets {
		go func() { ends <- k.close(ctx) }()
	}
	for range l.kubelets {
		if err := <-ends; err != nil && !errors.Is(err, context.Canceled) {
			l.log.Warn("containers", "error", err)
		}
	}
}
