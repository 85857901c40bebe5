package cluster

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
)

// startUnit starts a part or a container. Where that makes the centre of a lab without kubelets whole, it returns when users find
// it whole: their requests reach the aggregated API.
func (l *Lab) startUnit(u unit, ctx context.Context) error {
	if err := u.Start(ctx); err != nil {
		return err
	}
	p, ok := u.(*Part)
	if !ok {
		return nil
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
	for _, kind := range []string{part.Etcd, part.KubeAPIServer, part.ControllerManager} {
		if !l.running(kind) {
			return false
		}
	}
	for _, p := range l.parts {
		if state, _ := p.State(); p.name.Kind == part.APIServer && state == control.Running && !p.lacks() {
			return true
		}
	}
	return false
}
