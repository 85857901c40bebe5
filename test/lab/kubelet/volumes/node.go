package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// remade makes a path of the node that has gone since it was looked at.
func remade(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(path, 0o755)
}

// hostPath is a path of the node, if it is of the type that is asked for.
func (v *Volumes) hostPath(source *corev1.HostPathVolumeSource) (string, error) {
	path := filepath.Join(v.Root, filepath.Clean("/"+source.Path))
	kind := corev1.HostPathUnset
	if source.Type != nil {
		kind = *source.Type
	}
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	is := func(what string, ok bool) (string, error) {
		if !ok {
			return "", fmt.Errorf("hostPath type check failed: %s is not a %s", source.Path, what)
		}
		return path, nil
	}
	mode := fs.FileMode(0)
	if err == nil {
		mode = info.Mode()
	}
	found := err == nil
	switch kind {
	case corev1.HostPathUnset:
		// Container runtimes make what is not there.
		if !found {
			return path, os.MkdirAll(path, 0o755)
		}
		return path, nil
	case corev1.HostPathDirectoryOrCreate:
		if !found {
			return path, os.MkdirAll(path, 0o755)
		}
		return is("directory", mode.IsDir())
	case corev1.HostPathFileOrCreate:
		if !found {
			return path, os.WriteFile(path, nil, 0o644)
		}
		return is("file", mode.IsRegular())
	case corev1.HostPathDirectory:
		return is("directory", found && mode.IsDir())
	case corev1.HostPathFile:
		return is("file", found && mode.IsRegular())
	case corev1.HostPathSocket:
		return is("socket", found && mode&fs.ModeSocket != 0)
	case corev1.HostPathCharDev:
		return is("character device", found && mode&fs.ModeCharDevice != 0)
	case corev1.HostPathBlockDev:
		return is("block device", found && mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0)
	}
	return "", fmt.Errorf("unknown hostPath type %q", kind)
}

// claim is the volume that a PersistentVolumeClaim is bound to: a directory of this node.
func (v *Volumes) claim(ctx context.Context, pod *corev1.Pod, source *corev1.PersistentVolumeClaimVolumeSource) (Volume, error) {
	claim, err := v.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, source.ClaimName, metav1.GetOptions{})
	if err != nil {
		return Volume{}, err
	}
	if claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName == "" {
		return Volume{}, fmt.Errorf("PVC %s/%s is not bound", pod.Namespace, source.ClaimName)
	}
	volume, err := v.Client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return Volume{}, err
	}
	if ref := volume.Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
		return Volume{}, fmt.Errorf("PV %s is not bound to PVC %s/%s", volume.Name, pod.Namespace, source.ClaimName)
	}
	if mode := volume.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		return Volume{}, errors.New("the lab's kubelet has no block volumes")
	}
	made := Volume{ReadOnly: source.ReadOnly}
	switch {
	case volume.Spec.HostPath != nil:
		made.Path, err = v.hostPath(volume.Spec.HostPath)
		return made, err
	case volume.Spec.Local != nil:
		made.Path = filepath.Join(v.Root, filepath.Clean("/"+volume.Spec.Local.Path))
		if _, err := os.Stat(made.Path); err != nil {
			return Volume{}, fmt.Errorf("path %q does not exist", volume.Spec.Local.Path)
		}
		return made, own(pod, made.Path)
	}
	return Volume{}, fmt.Errorf("PV %s: the lab's kubelet knows volumes that are hostPath or local", volume.Name)
}
