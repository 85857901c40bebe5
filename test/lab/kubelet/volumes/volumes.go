// Package volumes makes the volumes of Pods as directories and files of their node.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/kubelet/objects"
)

// Volumes are those of one Pod. One goroutine at a time may use them.
type Volumes struct {
	Dir         string // where the Pod's own are
	Root        string // of the node
	Objects     *objects.Store
	Client      kubernetes.Interface
	Allocatable corev1.ResourceList
	Log         *slog.Logger

	ready  map[string]Volume // what needs to be made once
	mounts []string
	tokens map[string]token
}

// Volume is where a volume is.
type Volume struct {
	Path     string
	ReadOnly bool // whatever the mount says
}

// SetupError is why a volume could not be made.
type SetupError struct {
	Volume string
	Err    error
}

// Error is what a kubelet's event says.
func (e *SetupError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

// Unwrap has errors.Is and errors.As look at the cause.
func (e *SetupError) Unwrap() error { return e.Err }

// Setup makes the Pod's volumes, or brings those of configuration up to date. The time says when a token in them has to be renewed.
// The error is a SetupError.
func (v *Volumes) Setup(ctx context.Context, pod *corev1.Pod) (map[string]Volume, time.Time, error) {
	if v.ready == nil {
		v.ready, v.tokens = map[string]Volume{}, map[string]token{}
	}
	all := map[string]Volume{}
	var renew time.Time
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		made, next, err := v.setup(ctx, pod, volume)
		if err != nil {
			return nil, renew, &SetupError{volume.Name, err}
		}
		if !next.IsZero() && (renew.IsZero() || next.Before(renew)) {
			renew = next
		}
		all[volume.Name] = made
	}
	return all, renew, nil
}

func (v *Volumes) setup(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) (Volume, time.Time, error) {
	dir := filepath.Join(v.Dir, volume.Name)
	p, ok, err := v.payloadOf(ctx, pod, volume)
	if err != nil {
		return Volume{}, time.Time{}, err
	}
	if ok {
		if err := v.memory(pod, volume.Name, dir, "mode=0755"); err != nil {
			return Volume{}, time.Time{}, err
		}
		return Volume{Path: dir, ReadOnly: true}, p.renew, replace(dir, p.files)
	}
	if made, ok := v.ready[volume.Name]; ok {
		if volume.HostPath != nil { // /run after a reboot: container runtimes make what is not there
			return made, time.Time{}, remade(made.Path)
		}
		return made, time.Time{}, nil
	}
	made, err := v.once(ctx, pod, volume, dir)
	if err == nil {
		v.ready[volume.Name] = made
	}
	return made, time.Time{}, err
}

// once makes a volume that stays as it is.
func (v *Volumes) once(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume, dir string) (Volume, error) {
	switch {
	case volume.EmptyDir != nil:
		return Volume{Path: dir}, v.emptyDir(pod, volume, dir)
	case volume.HostPath != nil:
		path, err := v.hostPath(volume.HostPath)
		return Volume{Path: path}, err
	case volume.PersistentVolumeClaim != nil:
		return v.claim(ctx, pod, volume.PersistentVolumeClaim)
	}
	return Volume{}, errors.New("the lab's kubelet does not know this kind of volume")
}

func (v *Volumes) emptyDir(pod *corev1.Pod, volume *corev1.Volume, dir string) error {
	switch volume.EmptyDir.Medium {
	case corev1.StorageMediumDefault:
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
	case corev1.StorageMediumMemory:
		options := "mode=0777"
		if limit := volume.EmptyDir.SizeLimit; limit != nil && limit.Value() > 0 {
			options += fmt.Sprintf(",size=%d", limit.Value())
		}
		if err := v.memory(pod, volume.Name, dir, options); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown storage medium %q", volume.EmptyDir.Medium)
	}
	return own(pod, dir)
}

// memory mounts a file system that never reaches a disk, once.
func (v *Volumes) memory(pod *corev1.Pod, name, dir, options string) error {
	if _, ok := v.ready[name]; ok {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if group := fsGroup(pod); group != nil {
		options += fmt.Sprintf(",gid=%d", *group)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting tmpfs: %w", err)
	}
	v.mounts = append(v.mounts, dir)
	v.ready[name] = Volume{Path: dir}
	return nil
}

// own gives what is in a volume to the Pod's group, if it has one.
func own(pod *corev1.Pod, dir string) error {
	group := fsGroup(pod)
	if group == nil {
		return nil
	}
	policy := pod.Spec.SecurityContext.FSGroupChangePolicy
	if policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch {
		var info unix.Stat_t
		if err := unix.Stat(dir, &info); err != nil {
			return err
		}
		if int64(info.Gid) == *group && info.Mode&0o2770 == 0o2770 {
			return nil
		}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, int(*group)); err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		wanted := info.Mode() | 0o660
		if info.IsDir() {
			wanted |= fs.ModeSetgid | 0o110
		}
		return os.Chmod(path, wanted)
	})
}

// TearDown takes away what is the Pod's own. Nothing may run in it any more.
func (v *Volumes) TearDown() error {
	var errs []error
	for _, dir := range v.mounts {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", dir, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	v.mounts, v.ready, v.tokens = nil, nil, nil
	return os.RemoveAll(v.Dir)
}
