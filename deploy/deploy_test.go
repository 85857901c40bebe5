package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/certs"
)

// object is what the tests look at of any manifest: a superset of the fields of bindings and roles.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	RoleRef  rbacv1.RoleRef      `json:"roleRef"`
	Subjects []rbacv1.Subject    `json:"subjects"`
	Rules    []rbacv1.PolicyRule `json:"rules"`
}

func objects(t *testing.T) []object {
	t.Helper()
	names, err := fs.Glob(Base(), "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("files of the base: %v, %v", names, err)
	}
	var all []object
	for _, name := range names {
		content, err := fs.ReadFile(Base(), name)
		if err != nil {
			t.Fatal(err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var o object
			if err := yaml.Unmarshal(document, &o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if o.Kind == "" {
				t.Errorf("%s has a document without a kind", name)
			}
			all = append(all, o)
		}
	}
	return all
}

// TestSpeakerMayDoNothing keeps the promise that no node holds Kubernetes credentials that are worth stealing.
func TestSpeakerMayDoNothing(t *testing.T) {
	accounts := 0
	for _, o := range objects(t) {
		if o.Kind == "ServiceAccount" && o.Metadata.Name == "speaker" {
			accounts++
		}
		for _, s := range o.Subjects {
			if !slices.Contains([]string{"apiserver", "controller", "webhooks"}, s.Name) || s.Kind != "ServiceAccount" {
				t.Errorf("%s %s binds %s %q", o.Kind, o.Metadata.Name, s.Kind, s.Name)
			}
		}
	}
	if accounts != 1 {
		t.Errorf("%d ServiceAccounts for the speaker, want 1", accounts)
	}
}

// TestNoRuleIsBroader lists what must never slip into a role: everything of a verb or group, and a cluster's secrets.
func TestNoRuleIsBroader(t *testing.T) {
	for _, o := range objects(t) {
		if o.RoleRef.Name == "cluster-admin" {
			t.Errorf("%s %s gives cluster-admin", o.Kind, o.Metadata.Name)
		}
		for _, r := range o.Rules {
			if slices.Contains(r.Verbs, "*") || slices.Contains(r.APIGroups, "*") {
				t.Errorf("%s %s has a wildcard: %v", o.Kind, o.Metadata.Name, r)
			}
			if o.Kind == "ClusterRole" && slices.Contains(r.Resources, "secrets") {
				t.Errorf("ClusterRole %s reaches secrets of every namespace: %v", o.Metadata.Name, r)
			}
		}
	}
}

// TestOnlyTheApiserverReadsTheCA: whoever has its key can pretend to be any of our servers.
func TestOnlyTheApiserverReadsTheCA(t *testing.T) {
	for _, o := range objects(t) {
		for _, r := range o.Rules {
			if o.Kind != "Role" || o.Metadata.Name == "apiserver" || !slices.Contains(r.Resources, "secrets") {
				continue
			}
			if len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, certs.ObjectName) {
				t.Errorf("%s %s reaches the Secret of the CA: %v", o.Kind, o.Metadata.Name, r)
			}
		}
	}
}

// TestTheWebhookConfigurationAsks for the bundle by the name and the annotation that the apiserver looks for.
func TestTheWebhookConfigurationAsks(t *testing.T) {
	for _, o := range objects(t) {
		if o.Kind == "ValidatingWebhookConfiguration" && (o.Metadata.Name != certs.WebhookConfiguration || o.Metadata.Annotations[certs.InjectAnnotation] != "true") {
			t.Errorf("%s does not ask for a bundle: %v", o.Metadata.Name, o.Metadata.Annotations)
		}
	}
}

// TestTheApiserverMayWriteItsExports, each of them, and no other Secret but those of certificates.
func TestTheApiserverMayWriteItsExports(t *testing.T) {
	var may []string
	for _, o := range objects(t) {
		for _, r := range o.Rules {
			if o.Kind == "Role" && o.Metadata.Name == "apiserver" && slices.Contains(r.Resources, "secrets") && slices.Contains(r.Verbs, "update") {
				may = append(may, r.ResourceNames...)
			}
		}
	}
	want := append(export.Names(), certs.ObjectName, "webhooks-tls")
	slices.Sort(may)
	slices.Sort(want)
	if !slices.Equal(may, want) {
		t.Errorf("it may update %v, want %v", may, want)
	}
}
