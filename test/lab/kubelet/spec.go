package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/env"
)

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
