package collect

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
)

// ofSystem are the objects of the system namespace, by API.
var ofSystem = map[string][]string{
	"/api/v1":                            {"configmaps", "services", "endpoints", "serviceaccounts", "persistentvolumeclaims", "events"},
	"/apis/apps/v1":                      {"daemonsets", "deployments", "replicasets", "controllerrevisions", "statefulsets"},
	"/apis/discovery.k8s.io/v1":          {"endpointslices"},
	"/apis/coordination.k8s.io/v1":       {"leases"},
	"/apis/policy/v1":                    {"poddisruptionbudgets"},
	"/apis/networking.k8s.io/v1":         {"networkpolicies"},
	"/apis/rbac.authorization.k8s.io/v1": {"roles", "rolebindings"},
}

// ofCluster are the objects without a namespace.
var ofCluster = map[string][]string{
	"/apis/admissionregistration.k8s.io/v1": {"validatingwebhookconfigurations", "mutatingwebhookconfigurations"},
}

// secrets collects the names of Secrets and of their keys, and learns their values.
func (g *Gatherer) secrets(ctx context.Context) {
	var certificates strings.Builder
	g.list(ctx, place{path: g.inSystem("core/secrets.yaml"), url: "/api/v1/namespaces/" + g.opts.Namespace + "/secrets",
		each: func(item map[string]any) { facts(&certificates, item) }})
	g.keep(archive.Entry{Path: g.inSystem("certificates.txt"), Started: time.Now(), Note: "of the certificates in Secrets, what everybody may know"}, []byte(certificates.String()), true)
}

// facts says of the certificates in a Secret what they are.
func facts(to *strings.Builder, secret map[string]any) {
	data, _ := secret["data"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		encoded, _ := data[key].(string)
		rest, err := base64.StdEncoding.DecodeString(encoded)
		for err == nil {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				continue
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				fmt.Fprintf(to, "%s %s: %v\n", field(secret, "metadata", "name"), key, err)
				continue
			}
			fmt.Fprintf(to, "%s %s: subject %q, issuer %q, serial %x, from %s to %s, names %s %v, CA %t, sha256 %x\n", field(secret, "metadata", "name"), key,
				c.Subject, c.Issuer, c.SerialNumber, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339),
				strings.Join(c.DNSNames, ","), c.IPAddresses, c.IsCA, sha256.Sum256(c.Raw))
		}
	}
}

func (g *Gatherer) inSystem(below string) string {
	return path.Join("namespaces", archive.Name(g.opts.Namespace), below)
}

// system collects the objects of the system namespace, and returns its Pods.
func (g *Gatherer) system(ctx context.Context) []pod {
	lists := []func(){func() {
		only := func(n map[string]any) bool { return field(n, "metadata", "name") == g.opts.Namespace }
		g.list(ctx, place{path: g.inSystem("namespace.yaml"), url: "/api/v1/namespaces", only: only})
	}}
	for api, resources := range ofSystem {
		for _, r := range resources {
			lists = append(lists, func() {
				g.list(ctx, place{path: g.inSystem(path.Join(directory(api), r+".yaml")), url: api + "/namespaces/" + g.opts.Namespace + "/" + r})
			})
		}
	}
	g.parallel(lists...)
	var pods []pod
	for _, p := range g.list(ctx, place{path: g.inSystem("core/pods.yaml"), url: "/api/v1/namespaces/" + g.opts.Namespace + "/pods"}) {
		pods = append(pods, podOf(p))
	}
	return pods
}

// directory names an API as must-gather archives do.
func directory(api string) string {
	if api == "/api/v1" {
		return "core"
	}
	return strings.Split(api, "/")[2]
}

// cluster collects what has no namespace.
func (g *Gatherer) cluster(ctx context.Context) {
	lists := []func(){
		func() {
			g.list(ctx, place{path: "cluster-scoped-resources/core/nodes.yaml", url: "/api/v1/nodes", each: func(n map[string]any) {
				if status, ok := n["status"].(map[string]any); ok {
					delete(status, "images") // long, and says nothing of the network
				}
			}})
		},
		func() {
			g.list(ctx, place{path: "cluster-scoped-resources/core/node-events.yaml", url: "/api/v1/events", selector: "fieldSelector=involvedObject.kind%3DNode"})
		},
		func() { g.clusterRBAC(ctx) },
	}
	for api, resources := range ofCluster {
		for _, r := range resources {
			lists = append(lists, func() {
				g.list(ctx, place{path: path.Join("cluster-scoped-resources", directory(api), r+".yaml"), url: api + "/" + r})
			})
		}
	}
	g.parallel(lists...)
}

// clusterRBAC collects what the system's ServiceAccounts may do.
func (g *Gatherer) clusterRBAC(ctx context.Context) {
	const api = "/apis/rbac.authorization.k8s.io/v1"
	roles := map[string]bool{}
	dir := path.Join("cluster-scoped-resources", directory(api))
	g.list(ctx, place{path: path.Join(dir, "clusterrolebindings.yaml"), url: api + "/clusterrolebindings", only: func(b map[string]any) bool {
		subjects, _ := b["subjects"].([]any)
		for _, s := range subjects {
			if m, ok := s.(map[string]any); ok && field(m, "namespace") == g.opts.Namespace {
				roles[field(b, "roleRef", "name")] = true
				return true
			}
		}
		return false
	}})
	g.list(ctx, place{path: path.Join(dir, "clusterroles.yaml"), url: api + "/clusterroles", only: func(r map[string]any) bool {
		return roles[field(r, "metadata", "name")]
	}})
}

// services collects the Services of type LoadBalancer of all namespaces, with their endpoints and events.
func (g *Gatherer) services(ctx context.Context) {
	ours := map[string]bool{}
	key := func(namespace, name string) string { return namespace + "/" + name }
	g.list(ctx, place{path: "services/services.yaml", url: "/api/v1/services", only: func(s map[string]any) bool {
		if field(s, "spec", "type") != "LoadBalancer" {
			return false
		}
		ours[key(field(s, "metadata", "namespace"), field(s, "metadata", "name"))] = true
		return true
	}})
	g.parallel(
		func() {
			g.list(ctx, place{path: "services/endpointslices.yaml", url: "/apis/discovery.k8s.io/v1/endpointslices", only: func(s map[string]any) bool {
				return ours[key(field(s, "metadata", "namespace"), field(s, "metadata", "labels", "kubernetes.io/service-name"))]
			}})
		},
		func() {
			g.list(ctx, place{path: "services/events.yaml", url: "/api/v1/events", selector: "fieldSelector=involvedObject.kind%3DService", only: func(e map[string]any) bool {
				return ours[key(field(e, "involvedObject", "namespace"), field(e, "involvedObject", "name"))]
			}})
		},
	)
}
