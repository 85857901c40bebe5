package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/ingot-lb/ingot/apiserver/store"
)

// TestFullStore: an etcd that has reached its quota is no riddle; what is stored is still read, and once there is room writes go
// on.
func TestFullStore(t *testing.T) {
	url, etcd := runEtcd(t, func(cfg *embed.Config) { cfg.QuotaBackendBytes = 2 << 20 })
	config, _ := serveStore(t, store.Options{Servers: []string{url}})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	communities := sampleOf("Community")
	objects := client.Resource(communities.resource).Namespace(namespace)
	big := func(i int) error {
		o := communities.object(fmt.Sprintf("big-%d", i), map[string]any{})
		o.SetAnnotations(map[string]string{"ballast": strings.Repeat("x", 200<<10)})
		_, err := objects.Create(ctx, o, metav1.CreateOptions{})
		return err
	}
	stored := 0
	for err = big(stored); err == nil && stored < 100; err = big(stored) {
		stored++
	}
	if code(err) != http.StatusInsufficientStorage || !strings.Contains(err.Error(), "reached its quota") {
		t.Fatalf("after %d objects: %v, want 507", stored, err)
	}
	if err := objects.Delete(ctx, "big-0", metav1.DeleteOptions{}); code(err) != http.StatusInsufficientStorage {
		t.Errorf("delete: %v, want 507", err)
	}
	if list, err := objects.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != stored {
		t.Errorf("list: %v, %d objects, want %d", err, len(list.Items), stored)
	}

	// What the message says to do. Nothing was written since that could be compacted away, so room is made otherwise.
	if _, err := etcd.Delete(ctx, "/registry/metallb.io/communities/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	head, err := etcd.Get(ctx, "head")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Compact(ctx, head.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Defragment(ctx, etcd.Endpoints()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writes", func() error {
		_, err := objects.Create(ctx, communities.object("small", map[string]any{}), metav1.CreateOptions{})
		return err
	})
}
