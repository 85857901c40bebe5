package kubeapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// System is the namespace of the accounts that a Server knows.
const System = "metallb-system"

// collections are where objects of a kind are created; NAMESPACE is theirs.
var collections = map[string]string{
	"Namespace":                      "/api/v1/namespaces",
	"ServiceAccount":                 "/api/v1/namespaces/NAMESPACE/serviceaccounts",
	"Role":                           "/apis/rbac.authorization.k8s.io/v1/namespaces/NAMESPACE/roles",
	"RoleBinding":                    "/apis/rbac.authorization.k8s.io/v1/namespaces/NAMESPACE/rolebindings",
	"ClusterRole":                    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	"ClusterRoleBinding":             "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
	"ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
	"CustomResourceDefinition":       "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}

// Create makes the objects of manifests that are about rights and what is served. Others, such as workloads, are passed over.
func (s *Server) Create(ctx context.Context, manifests ...[]byte) error {
	client, err := kubernetes.NewForConfig(s.Admin())
	if err != nil {
		return err
	}
	for _, manifest := range manifests {
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			var object metav1.PartialObjectMetadata
			if err := yaml.Unmarshal(document, &object); err != nil {
				return err
			}
			path, ok := collections[object.Kind]
			if !ok {
				continue
			}
			body, err := yaml.YAMLToJSON(document)
			if err != nil {
				return err
			}
			err = client.Discovery().RESTClient().Post().AbsPath(strings.ReplaceAll(path, "NAMESPACE", object.Namespace)).
				SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
			if err != nil {
				return fmt.Errorf("%s %s: %w", object.Kind, object.Name, err)
			}
		}
	}
	return nil
}

// AwaitServed returns when there is an answer from every path: that a definition was created does not mean that it is served.
func (s *Server) AwaitServed(ctx context.Context, paths ...string) error {
	client, err := kubernetes.NewForConfig(s.Admin())
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, path := range paths {
		for {
			_, err := client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not served: %w", path, err)
			case <-tick.C:
			}
		}
	}
	return nil
}
