package lineage

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/apiserver/export"
)

// store is one in memory.
type store struct {
	identity Identity
	next     string // lineage of the one that is begun
}

func (s *store) Identity() Identity { return s.identity }

func (s *store) Look(context.Context) (bool, error) { return s.identity.Lineage != "", nil }

func (s *store) Begin(context.Context) error {
	s.identity = Identity{Lineage: s.next}
	return nil
}

func (s *store) Restore(_ context.Context, c *export.Content) error {
	if s.identity.Lineage != "" {
		return errors.New("there is a store already")
	}
	s.identity = Identity{Lineage: c.Lineage, EpochBase: 1000}
	return nil
}

const namespace = "metallb-system"

type rig struct {
	*testing.T
	client *fake.Clientset
	store  *store
	guard  *Guard
}

func newRig(t *testing.T, found string, objects ...runtime.Object) *rig {
	r := &rig{T: t, client: fake.NewClientset(objects...), store: &store{identity: Identity{Lineage: found}, next: "new"}}
	r.restart()
	return r
}

// restart is another process on the same store.
func (r *rig) restart() {
	r.guard = New(Options{Client: r.client, Namespace: namespace, Where: "here", Store: r.store, Log: slog.New(slog.DiscardHandler)})
}

func (r *rig) remembered() *corev1.ConfigMap {
	r.Helper()
	m, err := r.client.CoreV1().ConfigMaps(namespace).Get(r.Context(), ConfigMapName, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return m
}

func (r *rig) annotate(key, value string) {
	r.Helper()
	m := r.remembered()
	m.Annotations = map[string]string{key: value}
	if _, err := r.client.CoreV1().ConfigMaps(namespace).Update(r.Context(), m, metav1.UpdateOptions{}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) want(lineage string) {
	r.Helper()
	if err := r.guard.Step(r.Context()); err != nil {
		r.Fatalf("refused: %v", err)
	}
	select {
	case <-r.guard.Accepted():
	default:
		r.Error("not accepted")
	}
	m := r.remembered()
	if got := r.store.identity.Lineage; got != lineage || m.Data[lineageKey] != lineage || len(m.Annotations) > 0 {
		r.Errorf("the store is of lineage %q, remembered is %v %v; want %q", got, m.Data, m.Annotations, lineage)
	}
}

func (r *rig) refused(text string) {
	r.Helper()
	if err := r.guard.Step(r.Context()); err == nil || !strings.Contains(err.Error(), text) || r.guard.Err() == nil {
		r.Fatalf("Step: %v, then %v; want a refusal with %q", err, r.guard.Err(), text)
	}
	select {
	case <-r.guard.Accepted():
		r.Error("accepted")
	default:
	}
}

// exported is the Secret of an export.
func exported(t *testing.T, lineage string, base int64) *corev1.Secret {
	t.Helper()
	_, head, err := export.Pack(&export.Content{Lineage: lineage, EpochBase: base, Taken: time.Now()}, namespace, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func TestFirstStoreIsBegunAndRemembered(t *testing.T) {
	r := newRig(t, "")
	r.want("new")
	r.restart()
	r.want("new")
}

func TestLostStoreWaitsForAWord(t *testing.T) {
	r := newRig(t, "L")
	r.want("L")
	r.store.identity = Identity{}
	r.restart()
	r.refused(GiveUpAnnotation + "=L")
	r.annotate(GiveUpAnnotation, "K")
	r.refused("there is no store")
	r.annotate(GiveUpAnnotation, "L")
	r.want("new")

	events, err := r.client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 || events.Items[0].Reason != "StoreRefused" {
		t.Errorf("events: %v, %v; want one, of the refusal", events, err)
	}
}

func TestLostStoreIsRestoredByAnAnnotation(t *testing.T) {
	r := newRig(t, "L", exported(t, "L", 0))
	r.want("L")
	r.store.identity = Identity{}
	r.restart()
	r.refused("ingot.io/restore=ingot-export")
	r.annotate(RestoreAnnotation, "nosuch")
	r.refused("exports are in ingot-export and ingot-export-previous")
	r.annotate(RestoreAnnotation, export.PreviousName)
	r.refused(`secrets "ingot-export-previous" not found`)
	r.annotate(RestoreAnnotation, export.SecretName)
	r.want("L")
	if got := r.remembered().Data[epochBaseKey]; got != "1000" {
		t.Errorf("the remembered base is %s", got)
	}

	// The disk of the store that was lost comes back.
	r.store.identity = Identity{Lineage: "L"}
	r.restart()
	r.refused("from before an export of it was restored")
}

func TestForeignExportIsNotRestored(t *testing.T) {
	r := newRig(t, "", exported(t, "L", 0))
	r.refused("there is no store")
	if err := r.guard.Restore(t.Context(), &export.Content{Lineage: "X"}); err == nil || !strings.Contains(err.Error(), "of lineage X, the cluster's is L") {
		t.Errorf("Restore: %v", err)
	}
	r.annotate(GiveUpAnnotation, "L")
	r.want("new")
}

// TestDeletedMemory: somebody deletes the ConfigMap. While the store is there it is made again; and an export remembers, too.
func TestDeletedMemory(t *testing.T) {
	r := newRig(t, "L", exported(t, "L", 0))
	r.want("L")
	forget := func() {
		if err := r.client.CoreV1().ConfigMaps(namespace).Delete(t.Context(), ConfigMapName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	r.want("L")
	forget()
	r.store.identity = Identity{}
	r.restart()
	r.refused("lineage L")
	r.annotate(GiveUpAnnotation, "L") // of the ConfigMap that the refusal made
	r.want("new")
}

// TestExportRemembersTheRestoration: the ConfigMap is deleted, and the disk from before the restoration comes back.
func TestExportRemembersTheRestoration(t *testing.T) {
	r := newRig(t, "L", exported(t, "L", 1000))
	r.refused("from before an export of it was restored")
	r.store.identity.EpochBase = 1000
	r.restart()
	r.want("L")
}

// TestEmptiedMemory: somebody made an empty ConfigMap in place of the one that is gone, and says there what is to be done.
func TestEmptiedMemory(t *testing.T) {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ConfigMapName, Namespace: namespace}}
	r := newRig(t, "", exported(t, "L", 0), m)
	r.refused(GiveUpAnnotation + "=L")
	r.annotate(RestoreAnnotation, export.SecretName)
	r.want("L")
}

func TestForeignStoreIsRefused(t *testing.T) {
	r := newRig(t, "L")
	r.want("L")
	r.store.identity = Identity{Lineage: "X"}
	r.restart()
	r.refused("this store is of lineage X, which is not this cluster's")
	r.annotate(GiveUpAnnotation, "L")
	r.want("X")
}

// TestKubeAPIServerAway: before the store was accepted nothing is known; afterwards nothing changes.
func TestKubeAPIServerAway(t *testing.T) {
	r := newRig(t, "L")
	away := true
	r.client.PrependReactor("get", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
		return away, nil, apierrors.NewServiceUnavailable("away")
	})
	r.refused("has not been asked yet")
	away = false
	r.want("L")
	away = true
	if err := r.guard.Step(t.Context()); err != nil {
		t.Errorf("a store that was accepted: %v", err)
	}
}
