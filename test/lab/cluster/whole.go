package cluster

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
)

// startUnit starts a part or a container. Where that makes the centre of a lab without kubelets whole, it returns when users find
// it whole: their requests reach the aggregated API.
func (l *Lab) startUnit(u unit, ctx context.Context) error {
	p, ok := u.(*Part)
	if !ok {
		return u.Start(ctx)
	}
	if p.name.Kind == part.APIServer {
		l.awaitMissed(ctx)
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	switch p.name.Kind {
	case part.KubeAPIServer:
		if err := l.renewLeaders(ctx); err != nil {
			return err
		}
	case part.Etcd, part.IngotEtcd, part.ControllerManager, part.APIServer:
	default:
		return nil
	}
	return l.awaitPassedOn(ctx)
}

// renewLeaders starts those anew that elsewhere lose their Lease, and so end, when the kube-apiserver is away. Otherwise they
// would be up to a minute behind: what could not be watched is listed after a pause that doubles each time, and until then
// EndpointSlices are what they were, and the aggregated API may have none.
func (l *Lab) renewLeaders(ctx context.Context) error {
	for _, p := range l.parts {
		if p.name.Kind != part.ControllerManager && p.name.Kind != part.Scheduler {
			continue
		}
		if state, _ := p.State(); state != control.Running {
			continue
		}
		if err := p.Kill(ctx); err != nil {
			return err
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitMissed returns when the kube-apiserver has noticed that our apiserver is away. It would notice otherwise when the next one
// serves, and answer 503 for a moment to users who have been served by that.
func (l *Lab) awaitMissed(ctx context.Context) {
	const most = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, probePeriod, true, func(ctx context.Context) (bool, error) {
		return l.running(part.APIServer) || !l.noticing() || l.available(ctx, apiServices[0]) != nil, nil
	})
	if err != nil {
		l.log.Warn("the kube-apiserver does not notice that the apiserver is away", "error", err)
	}
}

// noticing says whether all runs by which the kube-apiserver learns where ours is.
func (l *Lab) noticing() bool {
	return l.running(part.Etcd) && l.running(part.KubeAPIServer) && l.running(part.ControllerManager)
}

// awaitPassedOn returns when the kube-apiserver passes requests on to our apiserver, or cannot as things are.
func (l *Lab) awaitPassedOn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, probePeriod, true, func(ctx context.Context) (bool, error) {
		if !l.centreRuns() {
			return true, nil
		}
		for _, name := range apiServices {
			if last = l.answersThrough(ctx, name); last != nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the aggregated API: %w: %w", err, last)
	}
	return nil
}

// centreRuns says whether all is there that it takes for a request to reach our apiserver.
func (l *Lab) centreRuns() bool {
	if !l.noticing() {
		return false
	}
	for _, p := range l.parts {
		if state, _ := p.State(); p.name.Kind == part.APIServer && state == control.Running && !p.lacks() {
			return true
		}
	}
	return false
}
