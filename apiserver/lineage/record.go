package lineage

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/apiserver/export"
)

// ConfigMapName is that of the ConfigMap in the system namespace which remembers the store.
const ConfigMapName = "ingot-lineage"

// By these annotations of the ConfigMap an administrator says what becomes of a lost store. The first is the lineage that is
// given up, so that it means nothing a second time; the second the name of a Secret with an export.
const (
	GiveUpAnnotation  = "ingot.io/give-up-lineage"
	RestoreAnnotation = "ingot.io/restore"
)

const (
	lineageKey   = "lineage"
	epochBaseKey = "epochBase"
	whereKey     = "store"
	sinceKey     = "since"
)

// record is the ConfigMap.
type record struct {
	client    kubernetes.Interface
	namespace string
}

// read returns what is remembered, and the ConfigMap, nil if there is none. Somebody may have deleted it: an export
// remembers the lineage, too.
func (r record) read(ctx context.Context) (Remembered, *corev1.ConfigMap, error) {
	found, err := r.client.CoreV1().ConfigMaps(r.namespace).Get(ctx, ConfigMapName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		remembered, err := r.exported(ctx)
		return remembered, nil, err
	}
	if err != nil {
		return Remembered{}, nil, fmt.Errorf("read ConfigMap %s/%s, which remembers the store: %w", r.namespace, ConfigMapName, err)
	}
	if found.Data[lineageKey] == "" { // emptied by hand
		remembered, err := r.exported(ctx)
		remembered.GiveUp, remembered.Restore = wordsOf(found)
		return remembered, found, err
	}
	base, err := strconv.ParseInt(found.Data[epochBaseKey], 10, 64)
	if err != nil && found.Data[epochBaseKey] != "" {
		return Remembered{}, nil, fmt.Errorf("ConfigMap %s/%s: %s: %w", r.namespace, ConfigMapName, epochBaseKey, err)
	}
	remembered := Remembered{Identity: Identity{Lineage: found.Data[lineageKey], EpochBase: base}, Where: found.Data[whereKey]}
	remembered.GiveUp, remembered.Restore = wordsOf(found)
	return remembered, found, nil
}

// wordsOf returns what an administrator said.
func wordsOf(m *corev1.ConfigMap) (giveUp, restore string) {
	return m.Annotations[GiveUpAnnotation], m.Annotations[RestoreAnnotation]
}

func (r record) exported(ctx context.Context) (Remembered, error) {
	head, err := r.client.CoreV1().Secrets(r.namespace).Get(ctx, export.SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Remembered{}, nil
	}
	if err != nil {
		return Remembered{}, fmt.Errorf("look for an export: %w", err)
	}
	about, err := export.AboutOf(head)
	if err != nil {
		return Remembered{}, err
	}
	return Remembered{
		Identity: Identity{Lineage: about.Lineage, EpochBase: about.EpochBase},
		Where:    "what an export of " + about.Taken.Format(time.RFC3339) + " was taken of",
	}, nil
}

// write remembers a store; found is the ConfigMap as it was read, nil if there is none. What an administrator said is
// over by then.
func (r record) write(ctx context.Context, i Identity, where string, found *corev1.ConfigMap) error {
	maps := r.client.CoreV1().ConfigMaps(r.namespace)
	data := map[string]string{lineageKey: i.Lineage, epochBaseKey: strconv.FormatInt(i.EpochBase, 10), whereKey: where}
	if found == nil {
		data[sinceKey] = time.Now().UTC().Format(time.RFC3339)
		_, err := maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: ConfigMapName, Namespace: r.namespace, Labels: map[string]string{"app": "metallb"}}, Data: data,
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create ConfigMap %s/%s: %w", r.namespace, ConfigMapName, err)
		}
		return nil
	}
	data[sinceKey] = found.Data[sinceKey]
	if found.Data[lineageKey] != i.Lineage || data[sinceKey] == "" {
		data[sinceKey] = time.Now().UTC().Format(time.RFC3339)
	}
	changed := found.DeepCopy()
	changed.Data = data
	delete(changed.Annotations, GiveUpAnnotation)
	delete(changed.Annotations, RestoreAnnotation)
	if _, err := maps.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update ConfigMap %s/%s: %w", r.namespace, ConfigMapName, err)
	}
	return nil
}

// event tells the administrator, beside the ConfigMap.
func (r record) event(ctx context.Context, kind, reason, message string) error {
	now := metav1.Now()
	const longest = 1024 // of a message
	_, err := r.client.CoreV1().Events(r.namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: ConfigMapName + "-", Namespace: r.namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: ConfigMapName},
		Reason:         reason, Message: message[:min(len(message), longest)], Type: kind, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "metallb-apiserver"}, ReportingController: "metallb-apiserver",
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("event %s: %w", reason, err)
	}
	return nil
}
