package l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// settle is how long netlink's events are collected before links are looked at.
	settle = 20 * time.Millisecond
	// maxBackoff bounds the wait before netlink is asked again.
	maxBackoff = 30 * time.Second
)

// watchLinks calls changed, once at the start and after links or addresses changed, until ctx ends.
func watchLinks(ctx context.Context, log *slog.Logger, changed func()) {
	backoff := time.Second
	for {
		started := time.Now()
		err := watchOnce(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > maxBackoff {
			backoff = time.Second
		}
		wait := backoff + rand.N(backoff)
		log.Warn("lost sight of links; trying again", "op", "watchLinks", "error", err, "wait", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// watchOnce watches until ctx ends or netlink fails.
func watchOnce(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	links := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: fail}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	addrs := make(chan netlink.AddrUpdate, 64)
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: fail}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	pending := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case _, ok := <-links:
			if !ok {
				return errors.New("the link subscription ended")
			}
		case _, ok := <-addrs:
			if !ok {
				return errors.New("the address subscription ended")
			}
		case <-timer.C:
			pending = false
			changed()
			continue
		}
		if !pending {
			pending = true
			timer.Reset(settle)
		}
	}
}
