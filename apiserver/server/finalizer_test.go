package server

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/certs/handshake"
)

// ending is a host whose system namespace may be ending.
type ending struct{ atomic.Bool }

func (e *ending) Nodes() []rules.Node                  { return nil }
func (e *ending) Secret(string) (*corev1.Secret, bool) { return nil, false }
func (e *ending) Holders() []rules.Holder              { return nil }
func (e *ending) Terminating() bool                    { return e.Load() }

// TestTheOperatorIsNotWaitedForWhereItEndsToo: its finalizer holds a MetalLB object, but not in a namespace that is being deleted;
// finalizers of others do.
func TestTheOperatorIsNotWaitedForWhereItEndsToo(t *testing.T) {
	host := &ending{}
	config, _, _ := serveJudged(t, rules.NewJudge(host), store.Options{DataDir: t.TempDir(), UnsafeNoFsync: true}, handshake.Limits{})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	objects := client.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "metallbs"}).Namespace(namespace)
	each := map[string]func() error{
		"delete": func() error { return objects.Delete(ctx, "metallb", metav1.DeleteOptions{}) },
		"delete collection": func() error {
			return objects.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
	}
	for what, remove := range each {
		for _, others := range [][]string{nil, {"example.com/other"}} {
			t.Run(fmt.Sprint(what, others), func(t *testing.T) {
				host.Store(false)
				s := sample{resource: schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1"}, kind: "MetalLB"}
				o := s.object("metallb", map[string]any{})
				o.SetFinalizers(append([]string{metallb.OperatorFinalizer}, others...))
				if _, err := objects.Create(ctx, o, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := remove(); err != nil {
					t.Fatal(err)
				}
				held, err := objects.Get(ctx, "metallb", metav1.GetOptions{})
				if err != nil || held.GetDeletionTimestamp() == nil {
					t.Fatalf("not held: %v", err)
				}
				host.Store(true)
				// The operator may have been away when the deletion began.
				if err := remove(); err != nil && !apierrors.IsNotFound(err) {
					t.Fatal(err)
				}
				held, err = objects.Get(ctx, "metallb", metav1.GetOptions{})
				if others == nil {
					if !apierrors.IsNotFound(err) {
						t.Errorf("still held: %v", err)
					}
					return
				}
				if err != nil || !slices.Equal(held.GetFinalizers(), others) {
					t.Fatalf("finalizers of others: %v, %v", held.GetFinalizers(), err)
				}
				held.SetFinalizers(nil)
				if _, err := objects.Update(ctx, held, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
