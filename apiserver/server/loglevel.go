package server

import (
	"context"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// followLogLevel keeps the level of this process's log, and of the speakers', at what the MetalLB object says, until ctx ends.
// While the store does not answer, it stays what it is.
func (p *process) followLogLevel(ctx context.Context) error {
	retry := backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
	for range p.store.InstallationChanged(ctx, p.options.Namespace) {
		for ctx.Err() == nil {
			object, err := p.store.Installation(ctx, p.options.Namespace)
			if err == nil {
				said := ""
				if object != nil {
					said = string(object.Spec.LogLevel)
				}
				p.heedLogLevel(said)
				break
			}
			p.log.Debug("the MetalLB object cannot be read; going on as before", "op", "setLogLevel", "error", err)
			if retry.Wait(ctx) != nil {
				break
			}
		}
		retry.Reset()
	}
	return ctx.Err()
}

// heedLogLevel puts in force what the MetalLB object says, and passes it on to the hub, which may come into being later
// (passOnLogLevel).
func (p *process) heedLogLevel(said string) {
	if err := p.level.Object(said); err != nil {
		p.log.Warn("the MetalLB object asks for something unknown; going on as before", "op", "setLogLevel", "error", err)
		return
	}
	p.saidLevel.Store(&said)
	p.passOnLogLevel()
}

// passOnLogLevel tells the hub what the object said last. Whichever of the two is there later does it.
func (p *process) passOnLogLevel() {
	hub, said := p.facts.hub.Load(), p.saidLevel.Load()
	if hub != nil && said != nil {
		hub.SetLogLevel(*said)
	}
}
