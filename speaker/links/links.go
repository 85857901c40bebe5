// Package links tells when the node's network interfaces or their addresses changed, from netlink's events.
package links

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// longest bounds the wait before netlink is asked again.
const longest = 30 * time.Second

// Watch calls changed, once at the start and whenever links or addresses changed, until ctx ends. Events that come
// within settle of the first one give one call.
func Watch(ctx context.Context, log *slog.Logger, settle time.Duration, changed func()) {
	retry := backoff.Backoff{First: time.Second, Most: longest}
	for {
		started := time.Now()
		err := watchOnce(ctx, settle, changed)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > longest {
			retry.Reset()
		}
		wait := retry.Next()
		log.Warn("lost sight of links and addresses; trying again", "op", "watchLinks", "error", err, "wait", wait.String())
		if backoff.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// watchOnce watches until ctx ends or netlink fails.
func watchOnce(ctx context.Context, settle time.Duration, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default: // the first failure is enough
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
	// Whatever changed before the subscriptions stood is looked at now.
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
