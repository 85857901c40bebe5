// Package bundle makes the bundle by which the Operator Lifecycle Manager (OLM) installs Ingot, out of the rendering of
// deploy/operator, so that both install the same. What OLM makes itself is left out (the APIServices with their Service and
// certificate, ServiceAccounts, and bindings of what the ClusterServiceVersion grants), and what it has no way to make is put into
// prepare.yaml, for the administrator. Whatever is in the rendering and has no place in either is an error.
package bundle

import (
	"bytes"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Options say what is made.
type Options struct {
	// Version in semantic versioning, without a v.
	Version string
	// Tag of the images; empty: none.
	Tag string
	// Registry is put before the names of images, with a slash; empty: placeholders, as the manifests have them.
	Registry string
	// Created is when the release was made, in RFC 3339; empty: unsaid.
	Created string
	// Kinds is docs/kinds.md, whose examples are offered to whoever makes an object.
	Kinds []byte
}

const (
	// Package is the name by which users subscribe.
	Package = "metallb-operator"
	// channel is the only one.
	channel = "stable"
	// namespace is where it is installed.
	namespace = "metallb-system"
	// Unreleased is the version of the bundle that is checked in. Validators take 0.0.0 for none.
	Unreleased = "0.0.1"
	// PrepareFile has what goes before the bundle, beside it.
	PrepareFile = "prepare.yaml"
	header      = "# Made by make bundle from deploy/operator; changes are made there, or in deploy/bundle/*.go.\n"
)

// object is one of the rendering.
type object = unstructured.Unstructured

// Generate returns the files, by their path in the bundle's directory. rendered is what kustomize makes of deploy/operator.
func Generate(rendered []byte, o Options) (map[string][]byte, error) {
	objects, err := parse(rendered)
	if err != nil {
		return nil, err
	}
	sorted, err := sort(objects)
	if err != nil {
		return nil, err
	}
	csv, err := o.csv(sorted)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	write := func(path string, all ...any) error {
		var content bytes.Buffer
		content.WriteString(header)
		for n, one := range all {
			document, err := yaml.Marshal(one)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if n > 0 {
				content.WriteString("---\n")
			}
			content.Write(document)
		}
		files[path] = content.Bytes()
		return nil
	}
	if err := write("manifests/"+Package+".clusterserviceversion.yaml", csv); err != nil {
		return nil, err
	}
	for _, m := range append(sorted.manifests, speakersOnOpenShift()...) {
		// OLM puts them into the namespace that it installs into.
		unstructured.RemoveNestedField(m.Object, "metadata", "namespace")
		path := fmt.Sprintf("manifests/%s_%s_%s.yaml", strings.ReplaceAll(m.GetName(), ":", "-"), m.GroupVersionKind().Version, strings.ToLower(m.GetKind()))
		if files[path] != nil {
			return nil, fmt.Errorf("two objects for %s", path)
		}
		if err := write(path, m.Object); err != nil {
			return nil, err
		}
	}
	var before []any
	for _, m := range append(sorted.before, operatorGroup()) {
		before = append(before, m.Object)
	}
	if err := write(PrepareFile, before...); err != nil {
		return nil, err
	}
	return files, write("metadata/annotations.yaml", map[string]any{"annotations": Labels()})
}

// Labels are those of the image of the bundle, too.
func Labels() map[string]string {
	return map[string]string{
		"operators.operatorframework.io.bundle.mediatype.v1":       "registry+v1",
		"operators.operatorframework.io.bundle.manifests.v1":       "manifests/",
		"operators.operatorframework.io.bundle.metadata.v1":        "metadata/",
		"operators.operatorframework.io.bundle.package.v1":         Package,
		"operators.operatorframework.io.bundle.channels.v1":        channel,
		"operators.operatorframework.io.bundle.channel.default.v1": channel,
	}
}

func parse(rendered []byte) ([]*object, error) {
	var all []*object
	for document := range bytes.SplitSeq(rendered, []byte("\n---\n")) {
		m := &object{}
		if err := yaml.Unmarshal(document, &m.Object); err != nil {
			return nil, fmt.Errorf("the rendering: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

// parts are the objects of a rendering by what becomes of them.
type parts struct {
	deployments []*object
	access      access
	// manifests are applied by OLM as they are.
	manifests []*object
	// before is what OLM makes nothing of.
	before []*object
}

func sort(objects []*object) (parts, error) {
	p := parts{access: access{roles: map[string][]any{}}}
	for _, m := range objects {
		switch kind := m.GetKind(); kind {
		case "Deployment":
			p.deployments = append(p.deployments, m)
		case "Service", "PodDisruptionBudget":
			p.manifests = append(p.manifests, m)
		case "Namespace", "PersistentVolumeClaim", "NetworkPolicy", "ConfigMap":
			// The ConfigMap could be in the bundle, but is its user's to change, and each upgrade would undo that.
			p.before = append(p.before, m)
		case "ServiceAccount":
			// OLM makes those that it grants something.
			if m.GetName() == speaker {
				p.manifests = append(p.manifests, m)
			}
		case "Role", "ClusterRole":
			if labels := m.GetLabels(); labels["rbac.authorization.k8s.io/aggregate-to-admin"] != "" {
				p.manifests = append(p.manifests, m)
				continue
			}
			rules, _, err := unstructured.NestedSlice(m.Object, "rules")
			if err != nil {
				return p, fmt.Errorf("%s %s: %w", kind, m.GetName(), err)
			}
			p.access.roles[kind+" "+m.GetName()] = rules
		case "RoleBinding", "ClusterRoleBinding":
			p.access.bindings = append(p.access.bindings, m)
		default:
			return p, fmt.Errorf("nothing is known of %s %s in a bundle", kind, m.GetName())
		}
	}
	return p, nil
}

// operatorGroup has OLM grant rights in the one namespace alone.
func operatorGroup() *object {
	return &object{Object: map[string]any{
		"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup",
		"metadata": map[string]any{"name": Package, "namespace": namespace},
		"spec":     map[string]any{"targetNamespaces": []any{namespace}},
	}}
}
