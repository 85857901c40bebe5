package server

import (
	"context"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	apiregistration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// patience is how long a new APIService waits for the Service's endpoints. The kube-apiserver probes a new one at once
// and, if that fails, again only after ten seconds.
const patience = 15 * time.Second

// keepAPIServices leads the host cluster here once this replica is ready, and keeps it so.
func (p *process) keepAPIServices(ctx context.Context) error {
	client, err := apiregistration.NewForConfig(p.host)
	if err != nil {
		return fmt.Errorf("client of the aggregation layer: %w", err)
	}
	if err := until(ctx, p.readiness.ready); err != nil {
		return err
	}
	p.log.Info("ready", "event", "ready", "id", p.options.ID)
	changed := make(chan struct{}, 1)
	p.serving.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	keeper := &apiServices{
		client:        client.APIServices(),
		namespace:     p.options.Namespace,
		service:       p.options.ServiceName,
		versions:      install.Scheme.PrioritizedVersionsForGroup(metallb.GroupName),
		bundle:        p.injected(),
		bundleChanged: changed,
		create:        p.options.CreateAPIServices,
		owner:         p.installation,
		beforeCreate:  p.awaitEndpoints,
		log:           p.log,
	}
	p.readiness.set(partAPIServices, keeper.ready)
	keeper.run(ctx)
	return ctx.Err()
}

// installation is the ClusterRole by which this program may make APIServices, as their owner: whoever deletes the manifests deletes
// it, and then APIServices of which nobody answers are collected, instead of keeping every namespace of the cluster from being
// deleted; and they cannot be made again. Where the role has another name they have no owner.
func (p *process) installation(ctx context.Context) *metav1.OwnerReference {
	role, err := p.kube.RbacV1().ClusterRoles().Get(ctx, p.options.Namespace+":apiserver", metav1.GetOptions{})
	if err != nil {
		p.log.Warn("APIServices will outlive an uninstallation", "event", "noOwner", "error", err)
		return nil
	}
	return &metav1.OwnerReference{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}
}

// injected is the bundle that APIServices get: nil where the API is known by another.
func (p *process) injected() func() []byte {
	if p.options.APICertFile != "" {
		return nil
	}
	return p.bundle
}

// awaitEndpoints returns when the Service leads somewhere, or when patience ends: then the APIService comes into
// being all the same.
func (p *process) awaitEndpoints(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ofService := metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: p.options.ServiceName}.String(),
	}
	for {
		slices, err := p.kube.DiscoveryV1().EndpointSlices(p.options.Namespace).List(ctx, ofService)
		if err == nil && anyReady(slices.Items) {
			return
		}
		if backoff.Sleep(ctx, 100*time.Millisecond) != nil {
			p.log.Warn("the Service of the aggregated API has no ready endpoint", "event", "noEndpoints", "service",
				p.options.Namespace+"/"+p.options.ServiceName, "error", err)
			return
		}
	}
}

func anyReady(slices []discoveryv1.EndpointSlice) bool {
	for _, s := range slices {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				return true
			}
		}
	}
	return false
}
