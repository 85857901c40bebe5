package keeper

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/apiserver/export"
)

const namespace = "metallb-system"

// store is one in memory.
type store struct {
	leader  string
	epoch   int64
	content export.Content
	changed chan struct{}
}

func (s *store) Leader(context.Context) (string, int64, error) { return s.leader, s.epoch, nil }

func (s *store) Export(context.Context) (*export.Content, error) {
	c := s.content
	c.Taken = time.Now()
	return &c, nil
}

func (s *store) ExportChanged(context.Context) <-chan struct{} { return s.changed }

type rig struct {
	*testing.T
	client *fake.Clientset
	store  *store
	keeper *Keeper
	told   []string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, client: fake.NewClientset(), store: &store{leader: "a", epoch: 5, changed: make(chan struct{}, 1)}}
	r.store.content = export.Content{Lineage: "L", State: []export.Entry{{Key: "/ingot/x", Value: []byte("1")}}}
	r.keeper = New(Options{
		Secrets: r.client.CoreV1().Secrets(namespace), Namespace: namespace, Store: r.store, Replica: "a", Interval: time.Second,
		Event: func(_ context.Context, reason, _ string) { r.told = append(r.told, reason) }, Log: slog.New(slog.DiscardHandler),
	})
	return r
}

func (r *rig) step() {
	r.Helper()
	if err := r.keeper.Step(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// writes are the names of the Secrets that were written since the last call, in order.
func (r *rig) writes() (names []string) {
	for _, a := range r.client.Actions() {
		switch a := a.(type) {
		case k8stesting.CreateAction: // an update is one, too
			o := a.GetObject().(*corev1.Secret)
			names = append(names, o.Name)
			if o.Type != export.SecretType {
				r.Errorf("%s is of type %s", o.Name, o.Type)
			}
		}
	}
	r.client.ClearActions()
	return names
}

func (r *rig) load(name string) (*export.Content, error) {
	get := func(name string) (*corev1.Secret, error) {
		return r.client.CoreV1().Secrets(namespace).Get(r.Context(), name, metav1.GetOptions{})
	}
	head, err := get(name)
	if err != nil {
		return nil, err
	}
	return export.Unpack(head, get)
}

func (r *rig) has(name, value string) {
	r.Helper()
	c, err := r.load(name)
	if err != nil || len(c.State) == 0 || string(c.State[0].Value) != value {
		r.Errorf("%s has %+v, %v; want %.20q", name, c, err, value)
	}
}

func TestExportsWhatChanged(t *testing.T) {
	r := newRig(t)
	r.step()
	r.has(export.SecretName, "1")
	if diff := cmp.Diff([]string{export.SecretName}, r.writes()); diff != "" {
		t.Error(diff)
	}
	r.step()
	if got := r.writes(); got != nil {
		t.Errorf("nothing changed, and %v were written", got)
	}
	r.store.content.State[0].Value = []byte("2")
	r.step()
	r.has(export.SecretName, "2")
	r.has(export.PreviousName, "1")
	if diff := cmp.Diff([]string{export.PreviousName, export.SecretName}, r.writes()); diff != "" {
		t.Error(diff)
	}
	if n := testutil.CollectAndCount(r.keeper); n != 4 {
		t.Errorf("%d metrics", n)
	}
}

func TestOnlyTheLeaderExports(t *testing.T) {
	r := newRig(t)
	r.step()
	r.writes()
	r.store.content.State[0].Value = []byte("2")
	r.store.leader = "b"
	r.step()
	r.store.leader, r.store.epoch = "a", 4 // it stood still, and another has exported since
	r.step()
	if got := r.writes(); got != nil {
		t.Errorf("%v were written", got)
	}
	r.has(export.SecretName, "1")
}

// random is text that compresses to about size bytes.
func random(size int) []byte {
	raw := make([]byte, size)
	_, _ = rand.Read(raw)
	return []byte(base64.StdEncoding.EncodeToString(raw))
}

// TestNeverHalfAnExport: whichever write fails, what the head names is whole, and so is what is written when it is tried again.
func TestNeverHalfAnExport(t *testing.T) {
	for failing := range 4 {
		t.Run(fmt.Sprint(failing), func(t *testing.T) {
			r := newRig(t)
			r.store.content.State[0].Value = random(1_100_000)
			r.step()
			first := string(r.store.content.State[0].Value)
			if got := r.writes(); !slices.Equal(got, []string{"ingot-export-a1", "ingot-export"}) {
				t.Fatalf("written: %v", got)
			}
			r.store.content.State[0].Value = random(1_100_000)
			n := 0
			r.client.PrependReactor("*", "secrets", func(a k8stesting.Action) (bool, runtime.Object, error) {
				if a.GetVerb() == "get" {
					return false, nil, nil
				}
				n++
				return n == failing+1, nil, apierrors.NewServiceUnavailable("away")
			})
			if err := r.keeper.Step(t.Context()); (err != nil) != (failing < 3) {
				t.Fatalf("with write %d failing: %v", failing, err)
			}
			if failing < 3 {
				r.has(export.SecretName, first)
			}
			r.step()
			r.has(export.SecretName, string(r.store.content.State[0].Value))
			r.has(export.PreviousName, first)
		})
	}
}

func TestTooLargeAnExportIsSaid(t *testing.T) {
	r := newRig(t)
	r.step()
	r.store.content.State[0].Value = random(4_400_000)
	err := r.keeper.Step(t.Context())
	if !errors.Is(err, export.ErrTooLarge) {
		t.Fatal(err)
	}
	r.keeper.note(t.Context(), err)
	r.keeper.note(t.Context(), err) // it is told once
	if diff := cmp.Diff([]string{"ExportTooLarge"}, r.told); diff != "" || r.keeper.Err() == nil {
		t.Errorf("told %v, error %v", r.told, r.keeper.Err())
	}
	r.has(export.SecretName, "1")
}

func TestDamagedExportIsMadeAnew(t *testing.T) {
	r := newRig(t)
	r.step()
	head, err := r.client.CoreV1().Secrets(namespace).Get(t.Context(), export.SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	head.Data[export.FileKey] = head.Data[export.FileKey][:20]
	if _, err := r.client.CoreV1().Secrets(namespace).Update(t.Context(), head, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.load(export.SecretName); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("it is read: %v", err)
	}
	r.step()
	r.has(export.SecretName, "1")
}

// TestRunExportsAfterChanges, and ends with its context.
func TestRunExportsAfterChanges(t *testing.T) {
	r := newRig(t)
	r.keeper.settle, r.keeper.options.Interval = time.Millisecond, 2*time.Millisecond
	written := make(chan struct{}, 100)
	r.client.PrependReactor("*", "secrets", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if a.GetVerb() != "get" {
			written <- struct{}{}
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.keeper.Run(ctx); close(ended) }()
	r.store.changed <- struct{}{}
	<-written
	cancel()
	<-ended
}
