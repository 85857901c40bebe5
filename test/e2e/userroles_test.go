package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestUserRoles: what holders of view, edit and admin in the system namespace may do with the group, resource by resource and
// verb by verb, as the host cluster decides it; and what they see.
func TestUserRoles(t *testing.T) {
	reads, writes := []string{"get", "list", "watch"}, []string{"create", "update", "patch", "delete", "deletecollection"}
	configuration := []string{"ipaddresspools", "addresspools", "l2advertisements", "bgpadvertisements", "bfdprofiles", "communities", "ipreservations", "metallbs"}
	shown := []string{"servicel2statuses", "servicebgpstatuses", "bgpsessionstates", "bfdsessionstates", "speakerstates", "configurationstates", "ipallocations"}
	// may says what is granted to whom.
	may := func(role, resource, verb string) bool {
		reading := slices.Contains(reads, verb)
		if slices.Contains(shown, resource) {
			return reading
		}
		switch resource {
		case "bgppeers": // may hold a password
			return role != "view"
		case "ipaddresspools/status": // counters
			return reading
		case "metallbs/status", "bgppeers/status", "ipallocationclaims":
			return false
		}
		return reading || role != "view"
	}
	var ask []string
	for _, resource := range slices.Concat([]string{"bgppeers", "ipaddresspools/status", "metallbs/status", "bgppeers/status", "ipallocationclaims"}, configuration, shown) {
		for _, verb := range slices.Concat(reads, writes) {
			ask = append(ask, resource+" "+verb)
		}
	}
	for _, role := range []string{"view", "edit", "admin"} {
		apply(t, fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: e2e-%[1]s, namespace: metallb-system}\n"+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: e2e-%[1]s}]\n", role))
		t.Run(role, func(t *testing.T) {
			var reviews []any
			for _, a := range ask {
				resource, verb, _ := strings.Cut(a, " ")
				resource, sub, _ := strings.Cut(resource, "/")
				reviews = append(reviews, map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
					"user": "e2e-" + role, "resourceAttributes": map[string]any{"namespace": "metallb-system", "group": "metallb.io", "resource": resource, "subresource": sub, "verb": verb}}})
			}
			list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": reviews})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the roles are aggregated", func() error {
				out, err := tryKubectl(string(list), "create", "-f", "-", "-o", "json")
				if err != nil {
					return err
				}
				answers := json.NewDecoder(strings.NewReader(out)) // one document each
				var wrong []string
				for _, a := range ask {
					var review struct{ Status struct{ Allowed bool } }
					if err := answers.Decode(&review); err != nil {
						return fmt.Errorf("the answer to %s: %w", a, err)
					}
					resource, verb, _ := strings.Cut(a, " ")
					if want := may(role, resource, verb); review.Status.Allowed != want {
						wrong = append(wrong, fmt.Sprintf("%s: allowed %v", a, !want))
					}
				}
				if len(wrong) > 0 {
					return fmt.Errorf("%s", strings.Join(wrong, "; "))
				}
				return nil
			})
		})
	}
	const secret = "planted-for-viewers"
	apply(t, object("v1beta2", "BGPPeer", "secretive", `{myASN: 64500, peerASN: 64501, peerAddress: 192.168.222.98, password: `+secret+`}`))
	out, err := tryKubectl("", "get", inSystem, "--as=e2e-view", "ingot", "-o", "yaml")
	if strings.Contains(out, secret) || err == nil || !strings.Contains(out, `cannot list resource "bgppeers"`) {
		t.Errorf("a viewer gets the category: %v", err)
	}
	for _, resource := range slices.Concat(configuration, shown) {
		if out, err := tryKubectl("", "get", inSystem, "--as=e2e-view", resource, "-o", "yaml"); err != nil || strings.Contains(out, secret) {
			t.Errorf("a viewer gets %s: %v", resource, err)
		}
	}
}
