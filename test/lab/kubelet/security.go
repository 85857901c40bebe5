package kubelet

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
)

// unsupported says what of a Pod's manifest would not be as it says here.
func unsupported(pod *corev1.Pod) error {
	s := pod.Spec
	isTrue := func(b *bool) bool { return b != nil && *b }
	refuse := func(what string) error { return fmt.Errorf("the lab's kubelet does not support %s", what) }
	switch {
	case s.HostPID:
		return refuse("hostPID")
	case s.HostIPC:
		return refuse("hostIPC")
	case isTrue(s.ShareProcessNamespace):
		return refuse("shareProcessNamespace")
	case s.HostUsers != nil && !*s.HostUsers:
		return refuse("hostUsers: false")
	case s.RuntimeClassName != nil && *s.RuntimeClassName != "":
		return refuse("runtimeClassName")
	case s.ActiveDeadlineSeconds != nil:
		return refuse("activeDeadlineSeconds")
	case isTrue(s.SetHostnameAsFQDN):
		return refuse("setHostnameAsFQDN")
	case len(s.ResourceClaims) > 0:
		return refuse("resourceClaims")
	}
	if c := s.SecurityContext; c != nil {
		if len(c.Sysctls) > 0 {
			return refuse("sysctls")
		}
		if err := profiles(c.SeccompProfile, c.AppArmorProfile); err != nil {
			return err
		}
	}
	for _, c := range s.InitContainers {
		if c.RestartPolicy != nil {
			return refuse("init containers with a restartPolicy")
		}
	}
	for _, c := range append(slices.Clone(s.InitContainers), s.Containers...) {
		if err := unsupportedContainer(&c, s.HostNetwork); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
	}
	return nil
}

func unsupportedContainer(c *corev1.Container, hostNetwork bool) error {
	refuse := func(what string) error { return fmt.Errorf("the lab's kubelet does not support %s", what) }
	switch {
	case len(c.VolumeDevices) > 0:
		return refuse("volumeDevices")
	case c.Stdin || c.TTY:
		return refuse("stdin and tty")
	case c.Lifecycle != nil && c.Lifecycle.PostStart != nil:
		return refuse("postStart")
	case c.Lifecycle != nil && c.Lifecycle.StopSignal != nil:
		return refuse("stopSignal")
	case len(c.Resources.Claims) > 0:
		return refuse("resource claims")
	case len(c.RestartPolicyRules) > 0:
		return refuse("restartPolicyRules")
	}
	for _, port := range c.Ports {
		if port.HostPort != 0 && !hostNetwork {
			return refuse("hostPort without hostNetwork")
		}
	}
	for _, m := range c.VolumeMounts {
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			return refuse("mountPropagation " + string(*m.MountPropagation))
		}
		if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled {
			return refuse("recursiveReadOnly")
		}
	}
	s := c.SecurityContext
	if s == nil {
		return nil
	}
	if s.Privileged != nil && *s.Privileged {
		return refuse("privileged containers")
	}
	if s.ProcMount != nil && *s.ProcMount != corev1.DefaultProcMount {
		return refuse("procMount " + string(*s.ProcMount))
	}
	if s.Capabilities != nil {
		for _, name := range s.Capabilities.Add {
			if _, ok := container.Capability(string(name)); !ok && name != "ALL" {
				return fmt.Errorf("unknown capability %q", name)
			}
		}
	}
	return profiles(s.SeccompProfile, s.AppArmorProfile)
}

func profiles(seccomp *corev1.SeccompProfile, apparmor *corev1.AppArmorProfile) error {
	if seccomp != nil && seccomp.Type == corev1.SeccompProfileTypeLocalhost {
		return errors.New("the lab's kubelet does not support seccomp profiles of the node")
	}
	if apparmor != nil && apparmor.Type == corev1.AppArmorProfileTypeLocalhost {
		return errors.New("the lab's kubelet does not support AppArmor profiles of the node")
	}
	return nil
}

// filtered says whether a profile is that of container runtimes; without one, kubelets have none.
func filtered(profile *corev1.SeccompProfile) bool {
	return profile != nil && profile.Type == corev1.SeccompProfileTypeRuntimeDefault
}

// identity is who a container runs as, and with what capabilities. The error is a kubelet's where runAsNonRoot is not kept.
func identity(pod *corev1.Pod, c *corev1.Container, i image.Image) (p container.Process, err error) {
	p.User, p.Group = i.User, i.Group
	var user *int64
	nonRoot := false
	if s := pod.Spec.SecurityContext; s != nil {
		user = s.RunAsUser
		if user != nil {
			p.User, p.Group = int(*user), groupOf(int(*user), i)
		}
		if s.RunAsGroup != nil {
			p.Group = int(*s.RunAsGroup)
		}
		nonRoot = s.RunAsNonRoot != nil && *s.RunAsNonRoot
		p.Filtered = filtered(s.SeccompProfile)
		for _, g := range s.SupplementalGroups {
			p.Groups = append(p.Groups, int(g))
		}
		if s.FSGroup != nil {
			p.Groups = append(p.Groups, int(*s.FSGroup))
		}
	}
	var add, drop []string
	if s := c.SecurityContext; s != nil {
		if s.RunAsUser != nil {
			user = s.RunAsUser
			p.User = int(*user)
			if pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.RunAsGroup == nil {
				p.Group = groupOf(p.User, i)
			}
		}
		if s.RunAsGroup != nil {
			p.Group = int(*s.RunAsGroup)
		}
		if s.RunAsNonRoot != nil {
			nonRoot = *s.RunAsNonRoot
		}
		if s.SeccompProfile != nil {
			p.Filtered = filtered(s.SeccompProfile)
		}
		p.NoNewPrivileges = s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
		if s.Capabilities != nil {
			for _, name := range s.Capabilities.Add {
				add = append(add, string(name))
			}
			for _, name := range s.Capabilities.Drop {
				drop = append(drop, string(name))
			}
		}
	}
	p.Capabilities = container.Capabilities(add, drop)
	if nonRoot && p.User == 0 {
		where := fmt.Sprintf("(pod: %q, container: %s)", describe(pod), c.Name)
		if user != nil {
			return p, fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return p, fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	}
	return p, nil
}

// groupOf is the group of a user in the image's /etc/passwd, where the lab's images have users whose group has their number;
// any other's is root's.
func groupOf(user int, i image.Image) int {
	if user == i.User {
		return i.Group
	}
	return 0
}

// describe names a Pod as messages of kubelets do.
func describe(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}
