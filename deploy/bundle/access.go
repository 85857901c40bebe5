package bundle

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// speaker is the account that nothing is granted but what OpenShift asks for.
const speaker = "speaker"

// access is who may do what.
type access struct {
	// roles are rules by kind and name.
	roles    map[string][]any
	bindings []*object
}

// byOLM are bindings that OLM makes for a Deployment that serves an API.
var byOLM = map[string]bool{
	"ClusterRole system:auth-delegator apiserver":              true,
	"Role extension-apiserver-authentication-reader apiserver": true,
}

// cluster are rules of roles of the cluster's own, which a ClusterServiceVersion cannot bind.
var cluster = map[string][]any{
	"ClusterRole system:service-account-issuer-discovery": {map[string]any{
		"nonResourceURLs": []any{"/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"},
		"verbs":           []any{"get"},
	}},
}

// permissions are those of the ClusterServiceVersion, in the namespace and in the cluster.
func (a access) permissions() (inNamespace, inCluster []any, err error) {
	granted := map[string]map[string][]any{"RoleBinding": {}, "ClusterRoleBinding": {}}
	for _, b := range a.bindings {
		role, _, _ := unstructured.NestedStringMap(b.Object, "roleRef")
		subjects, _, _ := unstructured.NestedSlice(b.Object, "subjects")
		for _, s := range subjects {
			account, _ := s.(map[string]any)["name"].(string)
			name := role["kind"] + " " + role["name"]
			if byOLM[name+" "+account] {
				continue
			}
			rules, known := a.roles[name]
			if !known {
				rules, known = cluster[name]
			}
			if !known || b.GetKind() == "RoleBinding" && b.GetNamespace() != namespace {
				return nil, nil, fmt.Errorf("%s %s grants %s %s, which a ClusterServiceVersion cannot", b.GetKind(), b.GetName(), account, name)
			}
			granted[b.GetKind()][account] = append(granted[b.GetKind()][account], narrowed(rules)...)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(granted["RoleBinding"])) {
		granted["RoleBinding"][account] = append(granted["RoleBinding"][account], constraint("nonroot-v2"))
	}
	list := func(of map[string][]any) (all []any) {
		for _, account := range slices.Sorted(maps.Keys(of)) {
			all = append(all, map[string]any{"serviceAccountName": account, "rules": of[account]})
		}
		return all
	}
	return list(granted["RoleBinding"]), list(granted["ClusterRoleBinding"]), nil
}

// narrowed are rules without what is for making APIServices, which OLM makes: they may be looked at.
func narrowed(rules []any) []any {
	var kept []any
	for _, r := range rules {
		rule := maps.Clone(r.(map[string]any))
		switch groups, _, _ := unstructured.NestedStringSlice(rule, "apiGroups"); {
		case slices.Contains(groups, "rbac.authorization.k8s.io"):
			continue // the role that owns them
		case slices.Contains(groups, "apiregistration.k8s.io"):
			verbs, _, _ := unstructured.NestedStringSlice(rule, "verbs")
			var look []any
			for _, v := range verbs {
				if v == "get" || v == "list" || v == "watch" {
					look = append(look, v)
				}
			}
			if len(look) == 0 {
				continue
			}
			rule["verbs"] = look
		}
		kept = append(kept, rule)
	}
	return kept
}

// constraint lets OpenShift admit Pods whose user, or more, the manifests fix. Elsewhere it means nothing.
func constraint(name string) map[string]any {
	return map[string]any{
		"apiGroups": []any{"security.openshift.io"}, "resources": []any{"securitycontextconstraints"},
		"resourceNames": []any{name}, "verbs": []any{"use"},
	}
}

// speakersOnOpenShift admits the speaker's Pods, which are on the host's network. It gives those who steal the token nothing: they
// cannot make Pods.
func speakersOnOpenShift() []*object {
	metadata := func() map[string]any {
		return map[string]any{"name": speaker, "labels": map[string]any{"app": "metallb"}}
	}
	return []*object{
		{Object: map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(), "rules": []any{constraint("privileged")}}},
		{Object: map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(),
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": speaker},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": speaker, "namespace": namespace}}}},
	}
}
