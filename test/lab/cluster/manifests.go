package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/deploy"
)

// installed are the kinds of the shipped manifests that the lab installs, by resource. Workloads are not among them:
// their Pods are processes of the lab.
var installed = map[string]schema.GroupVersionResource{
	"Namespace":          {Version: "v1", Resource: "namespaces"},
	"ServiceAccount":     {Version: "v1", Resource: "serviceaccounts"},
	"Service":            {Version: "v1", Resource: "services"},
	"ConfigMap":          {Version: "v1", Resource: "configmaps"},
	"Role":               {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"ClusterRole":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},

	"PodDisruptionBudget":            {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"ValidatingWebhookConfiguration": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
}

// system are the further kinds that the lab's own objects have, see system.go.
var system = map[string]schema.GroupVersionResource{
	"EndpointSlice":    {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"StorageClass":     {Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"},
	"PersistentVolume": {Version: "v1", Resource: "persistentvolumes"},
	"DaemonSet":        {Group: "apps", Version: "v1", Resource: "daemonsets"},
}

// manifests reads the shipped manifests, of the installed kinds, namespaces first.
func manifests(base fs.FS) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(base, "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, name := range names {
		content, err := fs.ReadFile(base, name)
		if err != nil {
			return nil, err
		}
		objects, err := decode(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, object := range objects {
			if _, ok := installed[object.GetKind()]; ok {
				all = append(all, object)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return all, nil
}

// decode reads the objects of a YAML stream.
func decode(stream io.Reader) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(stream))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		all = append(all, object)
	}
}

func rank(o *unstructured.Unstructured) int {
	if o.GetKind() == "Namespace" {
		return 0
	}
	return 1
}

// applyManifests installs what users would install.
func (l *Lab) applyManifests(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	objects, err := manifests(deploy.Base())
	if err != nil {
		return err
	}
	return l.apply(ctx, objects)
}

// apply applies objects, one after the other.
func (l *Lab) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(l.config)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := apply(ctx, client, object); err != nil {
			return fmt.Errorf("manifest %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// apply applies one object. It tries again what a starting cluster may not have yet, such as the namespace kube-system.
func apply(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	resource, ok := installed[object.GetKind()]
	if !ok {
		resource, ok = system[object.GetKind()]
	}
	if !ok {
		return errors.New("the lab does not know this kind")
	}
	var last error
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 1000, Cap: time.Second}
	err := backoff.DelayFunc().Until(ctx, true, false, func(ctx context.Context) (bool, error) {
		_, last = client.Resource(resource).Namespace(object.GetNamespace()).
			Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "lab", Force: true})
		if apierrors.IsInvalid(last) || apierrors.IsBadRequest(last) {
			return false, last
		}
		return last == nil, nil
	})
	if err != nil && !errors.Is(err, last) {
		return fmt.Errorf("%w (last answer: %w)", err, last)
	}
	return err
}
