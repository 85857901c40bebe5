package rbac

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const policy = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: discovery}
rules:
- {nonResourceURLs: [/openapi/*], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: discovery}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: discovery}
subjects:
- {kind: Group, name: system:authenticated}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide}
rules:
- {apiGroups: [""], resources: [nodes, services/status], verbs: [list, patch]}
- {apiGroups: [""], resources: [namespaces], verbs: [get]}
- {nonResourceURLs: [/openid/v1/jwks], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wide}
subjects:
- {kind: ServiceAccount, name: a, namespace: ours}
- {kind: ServiceAccount, name: other, namespace: theirs}
---
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: narrow, namespace: ours}
  rules:
  - {apiGroups: [""], resources: [secrets], verbs: [watch, create]}
  - {apiGroups: [""], resources: [secrets], resourceNames: [one, two], verbs: [watch, update]}
  - {apiGroups: [apps], resources: [deployments], verbs: ["*"]}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: narrow, namespace: ours}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: narrow}
  subjects: [{kind: ServiceAccount, name: a, namespace: ours}]
`

func lines(events ...string) string { return strings.Join(events, "\n") + "\n" }

func ask(user, verb, object, decision string, code string) string {
	return `{"verb":"` + verb + `","requestURI":"/x?y","user":{"username":"` + user + `"},"objectRef":` + object +
		`,"responseStatus":{"code":` + code + `},"annotations":{"authorization.k8s.io/decision":"` + decision + `"}}`
}

// TestVerdict: each right is looked for by itself; names, namespaces and subresources count; what was refused is no use.
func TestVerdict(t *testing.T) {
	var p Policy
	if err := p.Read(strings.NewReader(policy)); err != nil {
		t.Fatal(err)
	}
	rights, err := p.Rights("ours")
	if err != nil {
		t.Fatal(err)
	}
	const a, b = "system:serviceaccount:ours:a", "system:serviceaccount:ours:b"
	log := Log{}
	if err := log.Read(strings.NewReader(lines(
		ask(a, "list", `{"resource":"nodes"}`, "allow", "200"),
		ask(a, "list", `{"resource":"nodes"}`, "allow", "200"),
		ask(a, "patch", `{"resource":"services","subresource":"status","namespace":"any","name":"s"}`, "allow", "409"),
		ask(a, "patch", `{"resource":"nodes","name":"n"}`, "forbid", "403"), // granted: the kube-apiserver was not ready
		ask(a, "get", `{"resource":"namespaces","namespace":"n","name":"n"}`, "allow", "404"),
		ask(a, "watch", `{"resource":"secrets","namespace":"ours","name":"one"}`, "allow", "200"),
		ask(a, "create", `{"resource":"secrets","namespace":"theirs","name":"one"}`, "forbid", "403"),
		ask(a, "create", `{"resource":"secrets","namespace":"ours","name":"one"}`, "allow", "403"), // by admission
		ask(a, "update", `{"resource":"secrets","namespace":"ours","name":"two"}`, "allow", "200"),
		ask(b, "get", `{"resource":"pods","namespace":"ours","name":"p"}`, "", "401"),
		strings.Replace(ask(b, "get", "null", "forbid", "403"), "/x?y", "/openapi/v3?z", 1), // granted to everybody
		ask("system:serviceaccount:theirs:other", "get", `{"resource":"pods"}`, "forbid", "403"),
	) + `{"half`)); err != nil {
		t.Fatal(err)
	}
	v := Judge(rights, p.Everybody(), "ours", log)
	texts := func(v Verdict) map[string][]string {
		out := map[string][]string{}
		for _, r := range v.Unused {
			out["unused"] = append(out["unused"], r.String())
		}
		for _, r := range v.Needless {
			out["needless"] = append(out["needless"], r.String())
		}
		for _, r := range v.Sweeping {
			out["sweeping"] = append(out["sweeping"], r.String())
		}
		for _, r := range v.Refused {
			out["refused"] = append(out["refused"], r.String())
		}
		for _, r := range v.Early {
			out["early"] = append(out["early"], r.String())
		}
		return out
	}
	want := map[string][]string{
		"unused": {"a: get /openid/v1/jwks (ClusterRole wide)", "a: list services/status (ClusterRole wide)",
			"a: patch nodes (ClusterRole wide)", "a: update secrets one in ours (Role narrow)"},
		"needless": {"a: watch secrets one in ours (Role narrow)", "a: watch secrets two in ours (Role narrow)"},
		"sweeping": {"a: * deployments.apps in ours (Role narrow)"},
		"refused":  {a + ": create secrets. theirs/", b + ": get pods. ours/p"},
		"early":    {a + ": patch nodes. /n", b + ": get /openapi/v3"},
	}
	if diff := cmp.Diff(want, texts(v)); diff != "" || v.Used != 6 {
		t.Errorf("%d used, want 6; (-want +got):\n%s", v.Used, diff)
	}
}

// TestPoliciesThatCannotBeJudged: a role that is not known, and rights for a group that the accounts are in.
func TestPoliciesThatCannotBeJudged(t *testing.T) {
	const head = "kind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: r}\n"
	for _, subjects := range []string{
		"subjects: [{kind: ServiceAccount, name: a, namespace: ours}]", "subjects: [{kind: Group, name: 'system:serviceaccounts:ours'}]",
	} {
		var p Policy
		if err := p.Read(strings.NewReader(head + subjects)); err != nil {
			t.Fatal(err)
		}
		if rights, err := p.Rights("ours"); err == nil {
			t.Errorf("%s: %v", subjects, rights)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add(ask("u", "get", `{"resource":"pods"}`, "allow", "200") + "\n")
	f.Add("{}\nnull\n")
	f.Fuzz(func(t *testing.T, text string) {
		log := Log{}
		if err := log.Read(strings.NewReader(text)); err != nil {
			return
		}
		n := 0
		for _, times := range log {
			n += times
		}
		if n != strings.Count(text, "\n") {
			t.Errorf("%d requests of %d lines", n, strings.Count(text, "\n"))
		}
	})
}
