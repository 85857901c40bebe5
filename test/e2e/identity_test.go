package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hello opens the stream as node with a token, as grpcurl does it, and returns what was printed.
func hello(t *testing.T, node, token string) (string, error) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	bundle := kubectl(t, "get", "configmap", "-n", "metallb-system", "ingot-ca", "-o", `jsonpath={.data.ca\.crt}`)
	if err := os.WriteFile(ca, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	endpoint := kubectl(t, "get", "endpointslices", "-n", "metallb-system", "-l", "kubernetes.io/service-name=apiserver",
		"-o", "jsonpath={.items[0].endpoints[0].addresses[0]}")
	args := []string{filepath.Join(bin, "grpcurl"), "-cacert", ca, "-authority", "apiserver.metallb-system.svc", "-connect-timeout", "60", "-max-time", "60",
		"-d", fmt.Sprintf(`{"hello":{"node":%q,"instance":"e2e"}}`, node)}
	if token != "" {
		args = append(args, "-H", "authorization: Bearer "+token)
	}
	return tryIn("control", append(args, endpoint+":7473", "ingot.v1.Dispatch/Connect")...)
}

func TestStreamRefusesWrongIdentities(t *testing.T) {
	routed, _ := settled(t, 60)
	token := func(args ...string) string {
		return strings.TrimSpace(lab(t, append([]string{"token", "node1"}, args...)...))
	}
	forged := token()
	forged = forged[:len(forged)-8] + "AAAAAAAA"

	cases := []struct {
		name, node, token string
		code, says        string
	}{
		{"another node's", "node2", token(), "PermissionDenied", "node1"},
		{"none", "node1", "", "Unauthenticated", "token"},
		{"forged signature", "node1", forged, "Unauthenticated", "token"},
		{"expired", "node1", token("--expiry=-60"), "Unauthenticated", "expired"},
		{"wrong audience", "node1", token("--audience", "elsewhere"), "Unauthenticated", "audience"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := hello(t, c.node, c.token)
			if err == nil {
				t.Fatalf("accepted: %s", out)
			}
			for _, want := range []string{c.code, c.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal does not say %q: %v", want, err)
				}
			}
			if strings.Contains(out, "welcome") {
				t.Errorf("welcomed before the refusal: %s", out)
			}
		})
	}
	obeying(t)
	announcedBy(t, routed, nodes)
}

func TestSpeakerServiceAnswersGrpcurl(t *testing.T) {
	routed, lan := settled(t, 70)
	grpcurl := func(args ...string) string {
		return in(t, "node1", append([]string{filepath.Join(bin, "grpcurl"), "-plaintext"}, args...)...)
	}
	for _, want := range []string{"ingot.v1.SpeakerService", "grpc.health.v1.Health"} {
		if out := grpcurl("127.0.0.1:7474", "list"); !strings.Contains(out, want) {
			t.Errorf("list has no %s: %s", want, out)
		}
	}
	if out := grpcurl("127.0.0.1:7474", "ingot.v1.SpeakerService/GetState"); !strings.Contains(out, `"node": "node1"`) {
		t.Errorf("GetState: %s", out)
	}
	if out := grpcurl("127.0.0.1:7474", "ingot.v1.SpeakerService/ListSessions"); !strings.Contains(out, "Established") {
		t.Errorf("ListSessions: %s", out)
	}
	if out := grpcurl("127.0.0.1:7474", "ingot.v1.SpeakerService/ListAnnouncements"); !strings.Contains(out, routed) {
		t.Errorf("ListAnnouncements has no %s: %s", routed, out)
	}
	if out := grpcurl("127.0.0.1:7474", "grpc.health.v1.Health/Check"); !strings.Contains(out, "SERVING") {
		t.Errorf("health: %s", out)
	}
	owners := 0
	for i := range nodes {
		out := in(t, fmt.Sprintf("node%d", i+1), filepath.Join(bin, "grpcurl"), "-plaintext", "127.0.0.1:7474",
			"ingot.v1.SpeakerService/ListAnnouncements")
		owners += strings.Count(out, `"target": "`+lan+`"`)
	}
	if owners != 1 {
		t.Errorf("%d speakers say that they announce %s by layer 2, want one", owners, lan)
	}
}
