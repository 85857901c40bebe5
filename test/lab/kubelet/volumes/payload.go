package volumes

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ingot-lb/ingot/test/lab/kubelet/env"
)

// payload is what a volume of configuration shall hold.
type payload struct {
	files map[string]file
	renew time.Time // when it has to be looked at again; zero: when what it is from changes
}

// payloadOf collects the files of a volume that is a ConfigMap, a Secret, of the downward API or projected; false: it is none.
func (v *Volumes) payloadOf(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) (p payload, ok bool, err error) {
	p.files = map[string]file{}
	switch {
	case volume.ConfigMap != nil:
		s := volume.ConfigMap
		err = v.configMap(ctx, pod, s.Name, s.Items, s.Optional, mode(s.DefaultMode), p.files)
	case volume.Secret != nil:
		s := volume.Secret
		err = v.secret(ctx, pod, s.SecretName, s.Items, s.Optional, mode(s.DefaultMode), p.files)
	case volume.DownwardAPI != nil:
		err = v.downward(pod, volume.DownwardAPI.Items, mode(volume.DownwardAPI.DefaultMode), p.files)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if err = v.project(ctx, pod, volume, source, &p); err != nil {
				break
			}
		}
	default:
		return p, false, nil
	}
	if group := fsGroup(pod); group != nil {
		for path, f := range p.files {
			f.group, f.mode = int(*group), f.mode|0o440
			p.files[path] = f
		}
	}
	return p, true, err
}

func (v *Volumes) project(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume, source corev1.VolumeProjection, p *payload) error {
	usual := mode(volume.Projected.DefaultMode)
	switch {
	case source.ConfigMap != nil:
		s := source.ConfigMap
		return v.configMap(ctx, pod, s.Name, s.Items, s.Optional, usual, p.files)
	case source.Secret != nil:
		s := source.Secret
		return v.secret(ctx, pod, s.Name, s.Items, s.Optional, usual, p.files)
	case source.DownwardAPI != nil:
		return v.downward(pod, source.DownwardAPI.Items, usual, p.files)
	case source.ServiceAccountToken != nil:
		t, err := v.tokenFor(ctx, pod, volume.Name, source.ServiceAccountToken)
		if err != nil {
			return err
		}
		f := file{data: []byte(t.text), mode: usual}
		// Where it is known who will read it, nobody else may.
		user := onlyUser(pod)
		if user != nil || fsGroup(pod) != nil {
			f.mode = 0o600
		}
		if user != nil {
			f.owner = int(*user)
		}
		p.files[source.ServiceAccountToken.Path] = f
		if p.renew.IsZero() || t.renew.Before(p.renew) {
			p.renew = t.renew
		}
		return nil
	}
	return fmt.Errorf("the lab's kubelet does not know this kind of projection")
}

func (v *Volumes) configMap(ctx context.Context, pod *corev1.Pod, name string, items []corev1.KeyToPath, optional *bool, usual fs.FileMode, files map[string]file) error {
	object, err := v.Objects.ConfigMap(ctx, pod.Namespace, name)
	missing := optional != nil && *optional
	if apierrors.IsNotFound(err) && missing {
		return nil
	}
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for key, text := range object.Data {
		data[key] = []byte(text)
	}
	maps.Copy(data, object.BinaryData)
	return pick(data, items, missing, usual, "config", files)
}

func (v *Volumes) secret(ctx context.Context, pod *corev1.Pod, name string, items []corev1.KeyToPath, optional *bool, usual fs.FileMode, files map[string]file) error {
	object, err := v.Objects.Secret(ctx, pod.Namespace, name)
	missing := optional != nil && *optional
	if apierrors.IsNotFound(err) && missing {
		return nil
	}
	if err != nil {
		return err
	}
	return pick(object.Data, items, missing, usual, "secret", files)
}

// pick takes the items out of the data, or without items all of it.
func pick(data map[string][]byte, items []corev1.KeyToPath, missing bool, usual fs.FileMode, kind string, files map[string]file) error {
	if items == nil {
		for key, content := range data {
			files[key] = file{data: content, mode: usual}
		}
		return nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok {
			if missing {
				continue
			}
			return fmt.Errorf("references non-existent %s key: %s", kind, item.Key)
		}
		files[item.Path] = file{data: content, mode: orElse(item.Mode, usual)}
	}
	return nil
}

func (v *Volumes) downward(pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, usual fs.FileMode, files map[string]file) error {
	for _, item := range items {
		var text string
		var err error
		if item.FieldRef != nil {
			text, err = env.Field(pod, item.FieldRef.FieldPath)
		} else if item.ResourceFieldRef != nil {
			text, err = env.Resource(pod, item.ResourceFieldRef.ContainerName, item.ResourceFieldRef, v.Allocatable)
		}
		if err != nil {
			return err
		}
		files[item.Path] = file{data: []byte(text), mode: orElse(item.Mode, usual)}
	}
	return nil
}

func mode(m *int32) fs.FileMode { return orElse(m, 0o644) }

func orElse(m *int32, usual fs.FileMode) fs.FileMode {
	if m == nil {
		return usual
	}
	return fs.FileMode(*m).Perm()
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// onlyUser is the user that all containers of a Pod run as; nil: their images say, or they differ.
func onlyUser(pod *corev1.Pod) *int64 {
	var all []*int64
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			var user *int64
			if pod.Spec.SecurityContext != nil {
				user = pod.Spec.SecurityContext.RunAsUser
			}
			if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
				user = c.SecurityContext.RunAsUser
			}
			all = append(all, user)
		}
	}
	for _, user := range all {
		if user == nil || *user != *all[0] {
			return nil
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}
