package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Speakers find the replicas by the DNS of the cluster. When all of it is switched on at once, the DNS may wait for a
// network, or for an address, that waits for speakers: so the addresses are in a ConfigMap, too, which kubelets mount.
const (
	dispatchMap     = "ingot-dispatch"
	addressesKey    = "addresses"
	dispatchPort    = "dispatch" // name of the port
	dispatchService = "-dispatch"
)

// addressesEvery is how often the replicas' addresses are looked at, by the leader; they change when Pods do.
const addressesEvery = 15 * time.Second

// keepAddresses keeps the ConfigMap current until ctx ends.
func (p *process) keepAddresses(ctx context.Context) error {
	last := ""
	for {
		if err := p.writeAddresses(ctx); err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			p.log.Warn("speakers are not told the replicas' addresses", "event", "addressesFailed", "error", err)
		}
		if err := backoff.Sleep(ctx, addressesEvery/2+rand.N(addressesEvery/2)); err != nil {
			return err
		}
	}
}

func (p *process) writeAddresses(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, addressesEvery)
	defer cancel()
	leader, _, err := p.store.Leader(ctx)
	if err != nil || leader != p.options.ID {
		return err
	}
	return writeAddresses(ctx, p.kube, p.options.Namespace, p.options.ServiceName+dispatchService)
}

// writeAddresses makes the ConfigMap say what the Service leads to. What leads nowhere, it leaves as it is.
func writeAddresses(ctx context.Context, kube kubernetes.Interface, namespace, service string) error {
	found, err := kube.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: service}.String(),
	})
	if err != nil {
		return fmt.Errorf("list EndpointSlices of Service %s/%s: %w", namespace, service, err)
	}
	addresses := addressesOf(found.Items)
	if addresses == "" {
		return nil
	}
	maps := kube.CoreV1().ConfigMaps(namespace)
	was, err := maps.Get(ctx, dispatchMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: dispatchMap, Namespace: namespace, Labels: map[string]string{"app": "metallb"}},
			Data:       map[string]string{addressesKey: addresses},
		}, metav1.CreateOptions{})
	case err == nil && was.Data[addressesKey] != addresses:
		was = was.DeepCopy()
		was.Data = map[string]string{addressesKey: addresses}
		_, err = maps.Update(ctx, was, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", namespace, dispatchMap, err)
	}
	return nil
}

// addressesOf returns the endpoints, ready or not, one a line.
func addressesOf(found []discoveryv1.EndpointSlice) string {
	var lines []string
	for _, s := range found {
		for _, port := range s.Ports {
			if port.Name == nil || *port.Name != dispatchPort || port.Port == nil {
				continue
			}
			for _, e := range s.Endpoints {
				for _, address := range e.Addresses {
					lines = append(lines, net.JoinHostPort(address, strconv.Itoa(int(*port.Port)))+"\n")
				}
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}
