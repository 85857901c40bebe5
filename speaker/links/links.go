// Package links says which network interfaces the node has, their addresses and the routes over them, and tells when they
// changed, from netlink's events.
package links

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vishvananda/netlink"
)

// longest bounds the wait before netlink is asked again.
const longest = 30 * time.Second

// Watch calls changed, once at the start and whenever links or addresses changed, until ctx ends. Events that come
// within settle of the first one give one call.
func Watch(ctx context.Context, log *slog.Logger, settle time.Duration, changed func()) {
	keep(ctx, log, "links and addresses", func(ctx context.Context) error { return watchOnce(ctx, settle, changed) })
}

// watchOnce watches until ctx ends or netlink fails.
func watchOnce(ctx context.Context, settle time.Duration, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	failed := make(chan error, 1)
	links := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: first(failed)}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	addrs := make(chan netlink.AddrUpdate, 64)
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: first(failed)}); err != nil {
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
			if ctx.Err() != nil {
				return nil
			}
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
