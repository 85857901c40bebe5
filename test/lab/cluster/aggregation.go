package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// apiServices are those that our apiserver makes.
var apiServices = []string{"v1alpha1.metallb.io", "v1beta1.metallb.io", "v1beta2.metallb.io"}

// awaitAPIServices returns when the kube-apiserver passes requests on to our apiserver.
func (l *Lab) awaitAPIServices(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, probePeriod, true, func(ctx context.Context) (bool, error) {
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

func (l *Lab) available(ctx context.Context, name string) error {
	body, err := l.client.CoreV1().RESTClient().Get().AbsPath("/apis/apiregistration.k8s.io/v1/apiservices", name).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("APIService %s: %w", name, err)
	}
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("APIService %s: %w", name, err)
	}
	for _, c := range object.Status.Conditions {
		if c.Type != "Available" {
			continue
		}
		if c.Status == "True" {
			return nil
		}
		return fmt.Errorf("APIService %s is not available: %s: %s", name, c.Reason, c.Message)
	}
	return fmt.Errorf("APIService %s has no condition Available yet", name)
}

// answersThrough says whether a request by way of the kube-apiserver is answered, and kubectl finds the kinds there are. The condition
// alone may be one of before, and those who go by it hear of it a moment later.
func (l *Lab) answersThrough(ctx context.Context, name string) error {
	if err := l.available(ctx, name); err != nil {
		return err
	}
	version, group, _ := strings.Cut(name, ".")
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := l.client.CoreV1().RESTClient().Get().AbsPath("/apis", group, version).MaxRetries(0).Do(ctx).Error(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return l.discovered(ctx, group, version)
}

// discovered says whether a version's kinds are among all those of the cluster, which is where clients look for them.
func (l *Lab) discovered(ctx context.Context, group, version string) error {
	body, err := l.client.CoreV1().RESTClient().Get().AbsPath("/apis").MaxRetries(0).
		SetHeader("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("what the cluster serves: %w", err)
	}
	return tells(body, group, version)
}

// tells reads an answer about all that the cluster serves. Of a version whose server did not answer it has nothing, or what was before.
func tells(body []byte, group, version string) error {
	var all apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal(body, &all); err != nil {
		return fmt.Errorf("what the cluster serves: %w", err)
	}
	for _, g := range all.Items {
		for _, v := range g.Versions {
			if g.Name != group || v.Version != version {
				continue
			}
			if v.Freshness != apidiscoveryv2.DiscoveryFreshnessCurrent || len(v.Resources) == 0 {
				return fmt.Errorf("of %s/%s the cluster tells %d resources, %s", group, version, len(v.Resources), v.Freshness)
			}
			return nil
		}
	}
	return fmt.Errorf("%s/%s is not among what the cluster serves", group, version)
}

// The bundle of the CA that signs the apiserver's certificates, in the namespace.
const (
	caConfigMap = "ingot-ca"
	caKey       = "ca.crt"
)

func (l *Lab) caFile() string { return l.file("ca", caKey) }

// followCA keeps caFile as the ConfigMap has it until ctx ends, as a mounted volume would, and returns when the file is
// there, or when starting ends.
func (l *Lab) followCA(ctx, starting context.Context) error {
	written := make(chan struct{}, 1)
	write := func(object any) {
		m, ok := object.(*corev1.ConfigMap)
		if !ok || m.Data[caKey] == "" {
			return
		}
		if err := replaceFile(l.caFile(), []byte(m.Data[caKey])); err != nil {
			l.log.Error("the CA bundle", "error", err)
			return
		}
		select {
		case written <- struct{}{}:
		default:
		}
	}
	one := cache.NewListWatchFromClient(l.client.CoreV1().RESTClient(), "configmaps", namespace,
		fields.OneTermEqualSelector("metadata.name", caConfigMap))
	informer := cache.NewSharedInformer(one, &corev1.ConfigMap{}, 0)
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    write,
		UpdateFunc: func(_, object any) { write(object) },
	})
	if err != nil {
		return err
	}
	go informer.RunWithContext(ctx)
	starting, cancel := context.WithTimeout(starting, startTimeout)
	defer cancel()
	select {
	case <-written:
		return nil
	case <-starting.Done():
		return fmt.Errorf("ConfigMap %s/%s with a %s has not come: %w", namespace, caConfigMap, caKey, starting.Err())
	}
}
