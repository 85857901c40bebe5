package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// gathered is what must-gather left.
type gathered struct {
	files   map[string]string // of the compressed file, below its one directory
	entries []struct {
		Path, Command, Error string
		Exit                 int
	}
}

// well waits until every part of the lab is well: what is not ready says so to whoever collects.
func well(t *testing.T) {
	t.Helper()
	eventually(t, "all parts of the lab", func() error {
		status, err := cluster.Status(t.Context())
		if out := outOfOrder(status); err == nil && len(out) > 0 {
			err = errors.New(strings.Join(out, "; "))
		}
		return err
	})
}

// mustGather runs must-gather as a person does from a checkout, and checks that the directory and the compressed file are the same.
func mustGather(t *testing.T, args ...string) gathered {
	t.Helper()
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "gathered")
	ctx, cancel := context.WithTimeout(context.Background(), 5*long)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(here, "deploy/must-gather/gather"), append([]string{"-o", dir, "--kubectl", filepath.Join(bin, "kubectl"), "--via", filepath.Join(here, "test/lab/via")}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(labDir, "kubeconfig"), "LAB_DIR="+labDir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("must-gather: %v: %s", err, out)
	}
	g := gathered{files: map[string]string{}}
	packed, err := os.Open(dir + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, "gathered/")
		g.files[name] = string(content)
		if same, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(same, content) {
			t.Errorf("%s is not the same in the directory: %v", name, err)
		}
	}
	var index struct {
		Entries []struct {
			Path, Command, Error string
			Exit                 int
		}
	}
	if err := json.Unmarshal([]byte(g.files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	g.entries = index.Entries
	return g
}

// has checks that a file is there and says something.
func (g gathered) has(t *testing.T, file string, says ...string) {
	t.Helper()
	content, ok := g.files[file]
	if !ok {
		t.Errorf("there is no %s", file)
		return
	}
	for _, want := range says {
		if !strings.Contains(content, want) {
			t.Errorf("%s does not say %q:\n%.2000s", file, want, content)
		}
	}
}

// hides checks that nothing of a secret is in any file, in the ways in which programs write it.
func (g gathered) hides(t *testing.T, what, secret string) {
	t.Helper()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	inside := string(quoted[1 : len(quoted)-1])
	forms := map[string]string{"itself": secret, "in JSON": inside, "in YAML": strings.ReplaceAll(secret, "'", "''")}
	for _, end := range []string{"", "\n"} {
		forms["in base64"+end] = base64.RawStdEncoding.EncodeToString([]byte(secret + end))
		forms["in base64 of URLs"+end] = base64.RawURLEncoding.EncodeToString([]byte(secret + end))
	}
	for name, content := range g.files {
		for how, form := range forms {
			if i := strings.Index(content, form); i >= 0 {
				t.Errorf("%s has the %s %s: …%.80q", name, what, how, content[max(0, i-60):])
			}
		}
	}
}

// TestMustGather: one command collects what says how the system is doing, and no secret of it.
func TestMustGather(t *testing.T) {
	const (
		inline  = `inl1ne"quoted'peerpw`
		older   = `0lder-inline-peerpw`
		stored  = `st0red-in-a-secret`
		opaque  = `0paque-value-with-a-longer-text`
		quoted  = `quoted-in-an-annotation-0f-a-service`
		copied  = `c0pied-to-a-configmap`
		sharing = `user:` + stored + `:more`
	)
	key := strings.TrimSpace(kubectl(t, "get", "secret", "-nmetallb-system", "ingot-ca", "-o", `jsonpath={.data.tls\.key}`))
	caKey, err := base64.StdEncoding.DecodeString(key)
	if err != nil || !strings.Contains(string(caKey), "PRIVATE KEY") {
		t.Fatalf("the key of the CA: %v", err)
	}
	apply(t, bgp(61)+"---"+service("gathered", "pool61", dualStack))
	addresses(t, "gathered", 2)
	kubectl(t, "annotate", "service", "gathered", "e2e/note="+`{"password":"`+quoted+`"}`, "e2e/basic="+base64.StdEncoding.EncodeToString([]byte(sharing)))
	peer := func(password string) string {
		written, err := json.Marshal(password)
		if err != nil {
			t.Fatal(err)
		}
		return object("v1beta2", "BGPPeer", "gather-inline", `{myASN: 64500, peerASN: 64999, peerAddress: 192.168.222.97, password: `+string(written)+`}`)
	}
	apply(t, peer(older))
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"password": inline}}) // the annotation of kubectl apply keeps the older one
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "patch", "bgpp", "-nmetallb-system", "gather-inline", "--type=merge", "-p", string(patch))
	apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {namespace: metallb-system, name: gather-peer, annotations: {e2e/hint: "it is %[1]s"}}
type: kubernetes.io/basic-auth
stringData: {password: %[1]s}
---
apiVersion: v1
kind: Secret
metadata: {namespace: metallb-system, name: gather-opaque}
stringData: {anything: %[2]s, copy.pem: %[3]q}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: metallb-system, name: gather-old-config}
data:
  config: |
    peers:
    - peer-address: 192.0.2.1
      password: %[4]s
  notes: "see %[2]s, and %[5]s; key: %[6]s"
---
`, stored, opaque, string(caKey), copied, base64.StdEncoding.EncodeToString([]byte(opaque)), key)+
		object("v1beta2", "BGPPeer", "gather-stored", `{myASN: 64500, peerASN: 64999, peerAddress: 192.168.222.98, passwordSecret: {name: gather-peer}}`))
	for _, prefix := range addresses(t, "gathered", 2) {
		announcedBy(t, prefix, nodes)
	}

	// What the files must say is so, and is told, before it is collected.
	for n := 1; n <= nodes; n++ {
		node := fmt.Sprintf("node%d", n)
		bgpState(t, node, "peer61", sessionIsUp)
		eventually(t, "the peer in the configuration of "+node, func() error {
			out, err := vtysh(t, node, "show running-config")
			if err == nil && !strings.Contains(out, "neighbor 192.168.222.97 password <retracted>") {
				err = errors.New(out)
			}
			return err
		})
		eventually(t, "the ServiceBGPStatus of "+node, func() error {
			out, err := tryKubectl("", "get", "servicebgpstatuses", inSystem, "-l", "metallb.io/service-name=gathered,metallb.io/node="+node, "-o", "name")
			if err == nil && out == "" {
				err = errors.New("there is none")
			}
			return err
		})
	}
	eventOf(t, "default", "gathered", "nodeAssigned")
	atRest(t)
	exported(t) // compressed, with the passwords of peers in it
	well(t)

	g := mustGather(t)
	t.Run("no export of the store", func(t *testing.T) {
		g.has(t, "namespaces/metallb-system/core/secrets.yaml", "ingot-export", "export.yaml.gz: <redacted>")
		const compressed = "H4sI" // how any export begins, in base64
		for name, content := range g.files {
			if strings.Contains(content, compressed) {
				t.Errorf("%s has something compressed", name)
			}
		}
	})
	t.Run("what is collected", func(t *testing.T) {
		for _, e := range g.entries {
			if e.Error != "" {
				t.Errorf("%s: %s", e.Command, e.Error)
			}
		}
		const system = "namespaces/metallb-system/"
		g.has(t, system+"core/pods.yaml", "speaker-node1", "controller", "apiserver-1")
		g.has(t, system+"core/secrets.yaml", "gather-peer", "password: <redacted>", "copy.pem: <redacted>", "e2e/hint: <redacted>", "tls.key: <redacted>")
		g.has(t, system+"core/configmaps.yaml", "metallb-excludel2", "announcedInterfacesToExclude", "gather-old-config", "peer-address: 192.0.2.1", "BEGIN CERTIFICATE")
		g.has(t, system+"coordination.k8s.io/leases.yaml", "metallb-controller")
		g.has(t, system+"certificates.txt", "ingot-ca")
		for _, list := range []string{"apps/daemonsets", "apps/deployments", "core/services", "discovery.k8s.io/endpointslices", "core/events"} {
			g.has(t, system+list+".yaml", "items:")
		}
		served := strings.Fields(kubectl(t, "api-resources", "--api-group=metallb.io", "-o", "name"))
		if len(served) < 15 {
			t.Errorf("the group has %v", served)
		}
		for _, name := range served {
			if resource := strings.TrimSuffix(name, ".metallb.io"); resource != "ipallocationclaims" { // they are only ever created
				g.has(t, path.Join("metallb.io/v1beta1", resource+".yaml"), "items:")
			}
		}
		g.has(t, "metallb.io/v1beta2/bgppeers.yaml", "gather-inline", "192.168.222.97", "password: <redacted>", "managedFields", "name: gather-peer")
		g.has(t, "metallb.io/v1alpha1/addresspools.yaml", "items:")
		g.has(t, "metallb.io/v1beta1/ipallocations.yaml", "gathered")
		g.has(t, "metallb.io/v1beta1/servicebgpstatuses.yaml", "gathered")
		g.has(t, "metallb.io/v1beta1/bgpsessionstates.yaml", "Established")
		g.has(t, "services/services.yaml", "gathered", "198.51.61.100")
		g.has(t, "services/endpointslices.yaml", "gathered", "10.244.1.2")
		g.has(t, "services/events.yaml", "nodeAssigned")
		g.has(t, "cluster-scoped-resources/core/nodes.yaml", "node3", "InternalIP")
		g.has(t, "cluster-scoped-resources/apiregistration.k8s.io/apiservices.yaml", "v1beta1.metallb.io")
		g.has(t, "cluster-scoped-resources/admissionregistration.k8s.io/validatingwebhookconfigurations.yaml", "ingot-webhooks", "caBundle")
		for n := 1; n <= nodes; n++ {
			speaker := fmt.Sprintf("speakers/node%d/", n)
			g.has(t, speaker+"vtysh/show-running-config.txt", "router bgp 64500", "neighbor "+routerV4, "neighbor 192.168.222.97 password <retracted>")
			g.has(t, speaker+"vtysh/show-bgp-summary.txt", routerV4)
			g.has(t, speaker+"vtysh/show-bgp-ipv4.txt", "198.51.61.100/32")
			g.has(t, speaker+"vtysh/show-bgp-ipv6.txt", "2001:db8:61::200/128")
			g.has(t, speaker+"vtysh/show-bgp-neighbor.txt", "BGP state = Established")
			g.has(t, speaker+"vtysh/show-bfd-peer.txt")
			for _, s := range []string{"state", "sessions", "announcements", "layer2", "links", "segments", "neighbors"} {
				g.has(t, speaker+"show/"+s+".txt")
				g.has(t, speaker+"show/"+s+".json", "{")
			}
			pod := fmt.Sprintf(system+"pods/speaker-node%d/", n)
			g.has(t, pod+"speaker/logs/current.log", "peerAdded")
			g.has(t, pod+"metrics.txt", "metallb_bgp_session_up")
		}
		g.has(t, system+"pods/apiserver-1/metrics.txt", "apiserver_request_total")
		g.has(t, system+"pods/apiserver-1/apiserver/logs/current.log")
		g.has(t, system+"pods/controller/controller/logs/current.log")
		g.has(t, "history.txt", "Service default/gathered: created", "nodeAssigned", `last Apply`, "condition")
		g.has(t, "versions.txt", "Server Version")
		g.has(t, "index.txt", "namespaces/metallb-system/core/pods.yaml", "NOT COLLECTED")
	})
	t.Run("no secret is", func(t *testing.T) {
		for what, secret := range map[string]string{"password of a peer": inline, "older password in kubectl's annotation": older, "password in a Secret": stored, "value of a Secret": opaque,
			"password in an annotation": quoted, "password in a ConfigMap": copied} {
			g.hides(t, what, secret)
		}
		for _, line := range strings.Split(string(caKey), "\n") {
			if len(line) > 20 && !strings.HasPrefix(line, "-----") {
				g.hides(t, "CA's key", line)
			}
		}
		g.hides(t, "CA's key", string(caKey))
		tokens, err := filepath.Glob(filepath.Join(labDir, "tokens", "*"))
		if err != nil || len(tokens) == 0 {
			t.Fatalf("no tokens: %v", err)
		}
		for _, file := range tokens {
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
				continue
			}
			token, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g.hides(t, "token of "+filepath.Base(file), strings.TrimSpace(string(token)))
		}
		kubeconfig, err := os.ReadFile(filepath.Join(labDir, "kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(kubeconfig), "\n") {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && (k == "token" || k == "client-key-data") {
				g.hides(t, "kubeconfig's "+k, v)
			}
		}
	})
}

// TestMustGatherWhenPartsAreDown: what is down is noted, and all else is collected.
func TestMustGatherWhenPartsAreDown(t *testing.T) {
	for _, part := range []string{"controller", "speaker/node3", "apiserver/1"} {
		lab(t, "kill", part)
	}
	lab(t, "pause", "speaker/node2")
	t.Cleanup(func() {
		lab(t, "resume", "speaker/node2")
		for _, part := range []string{"apiserver/1", "controller", "speaker/node3"} {
			lab(t, "start", part)
		}
		eventually(t, "all parts of the lab", func() error { _, err := tryLab("status"); return err })
	})
	g := mustGather(t, "--step-timeout", "8s")
	g.has(t, "speakers/node1/vtysh/show-running-config.txt", "hostname node1")
	g.has(t, "speakers/node1/show/state.txt", "node1")
	g.has(t, "namespaces/metallb-system/core/pods.yaml", "speaker-node2")
	g.has(t, "namespaces/metallb-system/pods/speaker-node2/speaker/logs/current.log")
	g.has(t, "namespaces/metallb-system/pods/controller/controller/logs/current.log")
	g.has(t, "cluster-scoped-resources/apiregistration.k8s.io/apiservices.yaml", "v1beta1.metallb.io")
	failed := map[string]bool{}
	for _, e := range g.entries {
		if e.Error == "" {
			continue
		}
		if e.Exit == 0 {
			t.Errorf("%s failed with exit status 0: %s", e.Command, e.Error)
		}
		for _, what := range []string{"/apis/metallb.io", "speaker-node3", "speaker-node2"} {
			if strings.Contains(e.Command, what) {
				failed[what] = true
			}
		}
		if strings.Contains(e.Command, "speaker-node1") {
			t.Errorf("%s: %s", e.Command, e.Error)
		}
	}
	for _, what := range []string{"/apis/metallb.io", "speaker-node3", "speaker-node2"} {
		if !failed[what] {
			t.Errorf("that %s does not answer is not noted:\n%s", what, g.files["index.txt"])
		}
	}
	for _, line := range strings.Split(g.files["index.txt"], "\n") {
		if strings.HasPrefix(line, "failed:") && strings.Fields(line)[1] == "0" {
			t.Error("the index counts no failure")
		}
	}
}
