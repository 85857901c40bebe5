package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
)

// TestRollingRestart: while one replica after the other is restarted, under writes, lists and watches, every request succeeds,
// at the second try at the latest, and whoever watches sees all there is in the end, and never an older state after a newer.
func TestRollingRestart(t *testing.T) {
	p := theCouple(t)
	p.serving(2)
	config := p.client()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	var mu sync.Mutex
	var failures []string
	requests, retries := 0, 0
	// twice does something that may be done twice.
	twice := func(what string, do func() error) {
		err := do()
		again := err != nil && ctx.Err() == nil
		if again {
			<-time.After(100 * time.Millisecond)
			err = do()
		}
		mu.Lock()
		defer mu.Unlock()
		requests++
		if again {
			retries++
		}
		if err != nil && ctx.Err() == nil {
			failures = append(failures, fmt.Sprintf("%s: %v", what, err))
		}
	}
	var work sync.WaitGroup
	for worker := range 4 {
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		objects := client.Resource(profiles).Namespace("metallb-system")
		name := fmt.Sprintf("rolling-%d", worker)
		work.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				twice("apply", func() error {
					o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile",
						"metadata": map[string]any{"name": name, "labels": map[string]any{"round": fmt.Sprint(round)}}, "spec": map[string]any{}}}
					_, err := objects.Apply(ctx, name, o, metav1.ApplyOptions{FieldManager: "e2e", Force: true})
					return err
				})
				twice("list", func() error { _, err := objects.List(ctx, metav1.ListOptions{}); return err })
				twice("patch", func() error {
					_, err := objects.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"round":"%d"}}}`, round), metav1.PatchOptions{})
					return err
				})
				if round%5 == 4 {
					twice("delete", func() error {
						if err := objects.Delete(ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
							return err
						}
						return nil
					})
				}
			}
		})
	}

	watching, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(watching, 0, "metallb-system", nil)
	informer := factory.ForResource(profiles)
	order := newOrder()
	if _, err := informer.Informer().AddEventHandler(order); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	factory.Start(over)
	defer func() { close(over); factory.Shutdown() }()

	for _, replica := range []string{"apiserver/1", "apiserver/2"} {
		p.do("stop", replica)
		p.do("start", replica)
		p.serving(2) // a rollout goes on once the new Pod is ready
	}
	stop()
	work.Wait()
	t.Logf("%d requests, %d of them had to be tried again", requests, retries)
	for _, f := range failures {
		t.Error(f)
	}
	if requests < 100 {
		t.Errorf("only %d requests were made", requests)
	}

	eventually(t, "the informer seeing what there is", func() error {
		list, err := watching.Resource(profiles).Namespace("metallb-system").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		store := informer.Informer().GetStore()
		if n := len(store.ListKeys()); n != len(list.Items) {
			return fmt.Errorf("it has %d objects of %d", n, len(list.Items))
		}
		for _, o := range list.Items {
			seen, ok, err := store.GetByKey("metallb-system/" + o.GetName())
			if err != nil || !ok || seen.(*unstructured.Unstructured).GetResourceVersion() != o.GetResourceVersion() {
				return fmt.Errorf("%s: %v, another state", o.GetName(), err)
			}
		}
		return nil
	})
	for _, wrong := range order.wrong() {
		t.Error(wrong)
	}
}

// TestEveryReplicaGone: meanwhile the group is unavailable and says so, the rest of the cluster works but for the end of
// namespaces, which needs to know that nothing is left of any group; all of it goes on once a replica is back.
func TestEveryReplicaGone(t *testing.T) {
	p := theCouple(t)
	pool := object("v1beta1", "IPAddressPool", "kept", `{addresses: [203.0.113.0/28]}`)
	if out, err := p.kubectl(pool, "create", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	p.do("kill", "apiserver/1")
	p.do("kill", "apiserver/2")
	unavailable := func() error {
		out, err := p.kubectl("", "get", "apiservice", "v1beta1.metallb.io", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
		if err == nil && out != "False" {
			err = fmt.Errorf("available: %s", out)
		}
		return err
	}
	eventually(t, "the group being unavailable", unavailable)
	if out, err := p.kubectl("", "get", "ipaddresspools.v1beta1.metallb.io"); err == nil {
		t.Errorf("get without a server: %s", out)
	}
	for _, works := range [][]string{{"get", "nodes"}, {"create", "configmap", "other"}, {"delete", "configmap", "other"}, {"create", "namespace", "ending"}} {
		if out, err := p.kubectl("", works...); err != nil {
			t.Errorf("%v: %v, %s", works, err, out)
		}
	}
	if out, err := p.kubectl("", "delete", "namespace", "ending", "--wait=false"); err != nil {
		t.Fatal(err, out)
	}
	eventually(t, "the namespace saying what it waits for", func() error {
		out, err := p.kubectl("", "get", "namespace", "ending", "-o", `jsonpath={.status.conditions[?(@.type=="NamespaceDeletionDiscoveryFailure")]}`)
		if err == nil && (!strings.Contains(out, `"status":"True"`) || !strings.Contains(out, "metallb.io")) {
			err = errors.New(out)
		}
		return err
	})
	p.do("start", "apiserver/2")
	eventually(t, "the namespace's end", func() error {
		if out, err := p.kubectl("", "get", "namespace", "ending"); err == nil || !strings.Contains(out, "NotFound") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	if out, err := p.kubectl("", "get", "ipp", "kept"); err != nil {
		t.Errorf("what was stored: %v, %s", err, out)
	}
}

// TestStoreThatStands: an etcd that does not answer for a while costs the writes of that time, which say why, and nothing else.
func TestStoreThatStands(t *testing.T) {
	p := theCouple(t)
	before, err := p.kubectl(object("v1beta1", "IPAddressPool", "before", `{addresses: [203.0.113.0/28]}`), "create", "-f", "-")
	if err != nil {
		t.Fatal(err, before)
	}
	p.do("pause", "ingot-etcd")
	paused := true
	resume := func() {
		if paused {
			paused = false
			if _, err := p.Run(context.Background(), "resume", "ingot-etcd"); err != nil { // in the clean-up, too
				t.Error(err)
			}
		}
	}
	t.Cleanup(resume)
	during := object("v1beta1", "IPAddressPool", "during", `{addresses: [203.0.113.16/28]}`)
	out, err := p.kubectl(during, "create", "--request-timeout=3s", "-f", "-")
	if err == nil {
		t.Errorf("a write without a store: %s", out)
	}
	if out, err := p.kubectl("", "get", "nodes"); err != nil {
		t.Errorf("the rest of the cluster: %v, %s", err, out)
	}
	resume()
	eventually(t, "writes", func() error {
		_, err := p.kubectl(during, "apply", "-f", "-")
		return err
	})
	overlap := object("v1beta1", "IPAddressPool", "after", `{addresses: [203.0.113.8/32]}`)
	eventually(t, "the refusal of an overlap after it", func() error { // by either replica, which find their store again one by one
		out, err := p.kubectl(overlap, "create", "-f", "-")
		if err == nil {
			t.Fatalf("an overlap after it: %s", out)
		}
		if !strings.Contains(out, `"before"`) {
			return errors.New(out)
		}
		return nil
	})
}

// TestMissingPermission: a replica that may not read what admission needs says so where one looks first, does not become
// ready, and goes on when it may.
func TestMissingPermission(t *testing.T) {
	p := theCouple(t)
	binding, err := p.kubectl("", "get", "clusterrolebinding", "metallb-system:apiserver", "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := p.kubectl("", "delete", "clusterrolebinding", "metallb-system:apiserver"); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if out, err := p.kubectl(binding, "create", "-f", "-"); err != nil && !strings.Contains(out, "AlreadyExists") {
			t.Error(err, out)
		}
	})
	p.do("kill", "apiserver/2")
	started := make(chan error, 1)
	go func() { _, err := p.Run(t.Context(), "start", "apiserver/2"); started <- err }()
	eventually(t, "the reason in /readyz", func() error {
		out, err := p.Exec(t.Context(), "control", "curl", "-sS", "--max-time", "3", "http://172.30.0.3:7472/readyz?verbose")
		if err == nil && (!strings.Contains(out, "forbidden") || !strings.Contains(out, "[-]")) {
			err = errors.New(out)
		}
		return err
	})
	eventually(t, "the reason in the log", func() error {
		log, err := p.Run(t.Context(), "logs", "apiserver/2")
		if err == nil && !strings.Contains(log, "forbidden") {
			err = errors.New(log)
		}
		return err
	})
	if out, err := p.kubectl(binding, "create", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	if err := <-started; err != nil {
		t.Errorf("with the permission back: %v", err)
	}
}
