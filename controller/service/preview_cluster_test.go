package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// preview runs one until the test ends.
func (c *cluster) preview() *Preview {
	c.Helper()
	client, err := kubernetes.NewForConfig(Compact(api.Admin()))
	if err != nil {
		c.Fatal(err)
	}
	viaFront := api.Admin()
	viaFront.Host, viaFront.TLSClientConfig = c.front.URL, rest.TLSClientConfig{}
	hc, err := rest.HTTPClientFor(viaFront)
	if err != nil {
		c.Fatal(err)
	}
	pools, err := NewPoolClient(viaFront, hc)
	if err != nil {
		c.Fatal(err)
	}
	p := NewPreview(Options{Client: client, Pools: pools, Namespace: system, CatchUp: time.Minute, Log: silent()})
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	c.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("Run: %v", err)
		}
	})
	c.await("the preview to be ready", func() bool { return p.Ready() == nil })
	return p
}

// TestPreviewSaysWhatTheControllerSays of Services that share one cluster with it.
func TestPreviewSaysWhatTheControllerSays(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	c.start()
	p := c.preview()
	c.createService("one")
	c.awaitIP("one", "192.0.2.10")
	c.createService("two")
	const sentence = "no available IPs: pool web: of its 1 IPv4 addresses 1 in use, most by namespaces default (1)"
	c.awaitEvent("two", "AllocationFailed", sentence)

	// Each of the two hears of it by itself.
	c.await("the preview to say "+sentence, func() bool {
		found, _, err := p.Review(c.ctx, nil, newService("three"))
		return err == nil && len(found) == 1 && found[0].Sentence == sentence
	})
	// One that was deleted a moment ago is in nobody's way, if that is heard of in time.
	p.secondLook = time.Minute
	c.deleteService("two")
	c.deleteService("one")
	if found, _, err := p.Review(c.ctx, nil, newService("three", annotated("metallb.io/loadBalancerIPs", "192.0.2.10"))); err != nil || len(found) > 0 {
		t.Errorf("right after a delete: %v, %v", told(found), err)
	}
	// Nor is a pool unknown that was made a moment ago.
	for range 5 {
		c.putPool("late", "192.0.2.20/32")
		if found, _, err := p.Review(c.ctx, nil, newService("three", annotated("metallb.io/address-pool", "late"))); err != nil || len(found) > 0 {
			t.Errorf("right after its pool: %v, %v", told(found), err)
		}
		c.deletePool("late")
		c.await("the pool to be forgotten", func() bool {
			found, _, err := p.Review(c.ctx, nil, newService("three", annotated("metallb.io/address-pool", "late")))
			return err == nil && len(found) == 1
		})
	}
}

// TestManyReviewsAskOnce: thousands of Services that wait for their first pool are no burden on the API of pools.
func TestManyReviewsAskOnce(t *testing.T) {
	c := newCluster(t)
	p := c.preview()
	const reviews = 200
	var reached, done sync.WaitGroup
	start := make(chan struct{})
	for i := range reviews {
		reached.Add(1)
		done.Go(func() {
			svc := newService(fmt.Sprintf("waits%d", i))
			reached.Done()
			<-start
			if found, _, err := p.Review(c.ctx, nil, svc); err != nil || len(found) != 1 || !found[0].Advice {
				t.Errorf("%v, %v", told(found), err)
			}
		})
	}
	reached.Wait()
	close(start)
	done.Wait()
	if n := c.front.lists.Load(); n == 0 || n > reviews/4 {
		t.Errorf("%d lists of pools for %d reviews", n, reviews)
	}
}

// TestPreviewIsSilentWhenInDoubt: where the API of pools does not answer, what was heard of it may be old.
func TestPreviewIsSilentWhenInDoubt(t *testing.T) {
	c := newCluster(t)
	c.putPool("web", "192.0.2.10/32")
	p := c.preview()
	outside := newService("one", annotated("metallb.io/loadBalancerIPs", "4.3.2.1"))
	review := func() error {
		found, _, err := p.Review(c.ctx, nil, outside)
		if err == nil && len(found) != 1 {
			t.Errorf("%v", told(found))
		}
		return err
	}
	if err := review(); err != nil {
		t.Error(err)
	}
	c.front.deafen(true)
	if err := review(); !errors.Is(err, ErrStale) {
		t.Errorf("while the API of pools is away: %v", err)
	}
	c.await("it to be known that nothing is heard", func() bool {
		_, _, err := p.look(nil, newService("fine"))
		return errors.Is(err, ErrStale)
	})
	c.front.deafen(false)
	c.await("it to be back", func() bool { return review() == nil })
	c.front.loseStore() // pools are gone, and nobody saw them go
	c.await("doubt about pools that vanish from the list", func() bool {
		found, _, err := p.Review(c.ctx, nil, outside)
		return errors.Is(err, ErrStale) || err == nil && len(found) == 1 && found[0].Advice
	})
}
