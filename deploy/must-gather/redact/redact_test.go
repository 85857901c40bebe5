package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeysThatHoldSecrets(t *testing.T) {
	for key, want := range map[string]bool{
		"password": true, "Password": true, "bgpPassword": true, "BGP_PASSWORD": true, "token": true, "authToken": true, "tls.key": true,
		"client-secret": true, "privateKey": true, "api_key": true, "passphrase": true, "secret": true, "kubeconfig": true,
		"passwordSecret": false, "secretName": false, "key": false, "tls.crt": false, "token-file": false, "tokenExpirationSeconds": false,
		"secretRef": false, "peerAddress": false, "name": false, "f:password": true,
	} {
		if got := Sensitive(key); got != want {
			t.Errorf("%s: %t, want %t", key, got, want)
		}
	}
}

func TestTextsHideWhatLooksLikeASecret(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
	for _, c := range []struct{ name, text, want string }{
		{"FRR", " neighbor 10.0.0.1 password hunter2\n neighbor 10.0.0.1 port 179", " neighbor 10.0.0.1 password <redacted>\n neighbor 10.0.0.1 port 179"},
		{"FRR, hidden already", " neighbor 10.0.0.1 password <retracted>", " neighbor 10.0.0.1 password <retracted>"},
		{"JSON", `{"password":"hun\"ter2","port":1}`, `{"password":"<redacted>","port":1}`},
		{"JSON in JSON", `{"msg":"{\"password\":\"hunter2\",\"a\":1}"}`, `{"msg":"{\"password\":\"<redacted>\",\"a\":1}"}`},
		{"JSON in JSON in JSON", `"{\\\"password\\\":\\\"hunter2\\\"}"`, `"{\\\"password\\\":\\\"<redacted>\\\"}"`},
		{"YAML", "peer-password: hunter2 # old\nport: 1", "peer-password: <redacted> # old\nport: 1"},
		{"quoted YAML", "password: 'hunter 2'\n", "password: '<redacted>'\n"},
		{"a flag", "speaker --password hunter2 --token=abc --token-file=/a/b", "speaker --password <redacted> --token=<redacted> --token-file=/a/b"},
		{"a token", "sent " + jwt + " to it", "sent <redacted> to it"},
		{"a header", "Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer <redacted>"},
		{"a URL", "GET https://me:hunter2@example.org/x", "GET https://me:<redacted>@example.org/x"},
		{"a key", "a\n-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\nb", "a\n<redacted>\nb"},
		{"half a key", "-----BEGIN PRIVATE KEY-----\nMHc=", "<redacted>"},
		{"no secrets", `automountServiceAccountToken: false
f:password: {}
passwordSecret: {name: s}
{"event":"sessionUp","passwordSecret":"router","msg":"the password is wrong"}
metallb_bgp_session_up{peer="192.168.222.1:179",vrf="default"} 1`, `automountServiceAccountToken: false
f:password: {}
passwordSecret: {name: s}
{"event":"sessionUp","passwordSecret":"router","msg":"the password is wrong"}
metallb_bgp_session_up{peer="192.168.222.1:179",vrf="default"} 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(New().Text([]byte(c.text)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// disguises are the ways in which programs write a value into a text.
func disguises(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	twice, _ := json.Marshal(string(quoted))
	all := map[string]string{
		"itself": secret, "JSON": string(quoted), "JSON in JSON": string(twice), "Go": strconv.Quote(secret),
		"YAML": "'" + strings.ReplaceAll(secret, "'", "''") + "'", "URL": url.QueryEscape(secret), "hex": hex.EncodeToString([]byte(secret)),
	}
	for name, e := range map[string]*base64.Encoding{"standard": base64.StdEncoding, "URL": base64.URLEncoding, "raw": base64.RawStdEncoding} {
		all["base64 "+name] = e.EncodeToString([]byte(secret))
		all["base64 "+name+" of a line"] = e.EncodeToString([]byte(secret + "\n"))
		all["base64 "+name+" twice"] = e.EncodeToString([]byte(e.EncodeToString([]byte(secret))))
	}
	return all
}

// FuzzLearnedSecretsAreHidden: whatever a secret is, and however a program writes it, nothing of it is left, but of short words
// where they are parts of others.
func FuzzLearnedSecretsAreHidden(f *testing.F) {
	for _, s := range []string{"hunter2hunter2", `pl4nted"in\line'x`, "with blank and <html> & more", "ünïcödé-pässwörd", "secret", "12345678", "two\nlines of a longer secret"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		text, _ := json.Marshal(secret) // valid UTF-8, as in every object
		if err := json.Unmarshal(text, &secret); err != nil {
			t.Fatal(err)
		}
		if trimmed := strings.TrimSpace(secret); trimmed != secret || len(secret) < 6 || len(parts(secret)) == 0 || strings.Contains("<redacted>", secret) {
			return
		}
		r := New()
		r.Learn(secret)
		for name, written := range disguises(secret) {
			got := string(r.Text([]byte("before " + written + " after")))
			if strings.Contains(strings.ReplaceAll(got, Marker, ""), written) {
				t.Errorf("%s: %q is left in %q", name, written, got)
			}
		}
	})
}

func TestASecretInsideOfBase64IsHidden(t *testing.T) {
	const secret = "hunter2hunter2"
	r := New()
	r.Learn(secret)
	for _, before := range []string{"", "u", "us", "user:"} {
		text := base64.StdEncoding.EncodeToString([]byte(before + secret + ":after"))
		got := string(r.Text([]byte(text)))
		if !strings.Contains(got, Marker) || len(text)-(len(got)-len(Marker)) < 16 { // of the 19 or 20 that have bits of it
			t.Errorf("after %q: %s of %s", before, got, text)
		}
	}
}

func TestNothingIsLeftWhereSecretsOverlap(t *testing.T) {
	r := New()
	r.Learn("abcdef-ghijkl")
	r.Learn("ghijkl-mnopqrs")
	if got := string(r.Text([]byte("x abcdef-ghijkl-mnopqrs abcdef-ghijkl y"))); got != "x <redacted> <redacted> y" {
		t.Errorf("got %q", got)
	}
}

// BenchmarkText is a log of 20 MiB and a hundred keys.
func BenchmarkText(b *testing.B) {
	r := New()
	for i := range 100 {
		for line := range 27 {
			r.Learn(fmt.Sprintf("%064x", i*1000+line))
		}
	}
	line := `{"address":"192.168.222.1","caller":"session.go:75","event":"peerAdded","level":"info","localASN":64500,"msg":"peer configured, starting BGP session","peer":"router","token":"none"}` + "\n"
	text := []byte(strings.Repeat(line, 20<<20/len(line)))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r.Text(text)
	}
}

func TestShortWordsAreHiddenAsWords(t *testing.T) {
	r := New()
	r.Learn("secret")
	got := string(r.Text([]byte("kind: SecretList, secrets, passwordSecret; is it secret? secret=secret")))
	if want := "kind: SecretList, secrets, passwordSecret; is it <redacted>? <redacted>=<redacted>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestObjects(t *testing.T) {
	const applied = `{"kind":"BGPPeer","spec":{"password":"older<one>","peerPort":179}}`
	peer := map[string]any{"kind": "BGPPeer", "metadata": map[string]any{"annotations": map[string]any{"last-applied": applied}},
		"spec": map[string]any{"password": "newer-one", "peerPort": json.Number("179"), "passwordSecret": map[string]any{"name": "router"}}}
	secret := map[string]any{"kind": "SecretList", "items": []any{map[string]any{
		"metadata": map[string]any{"name": "router", "annotations": map[string]any{"last-applied": `{"kind":"Secret","stringData":{"password":"even-older"}}`}},
		"type":     "kubernetes.io/basic-auth",
		"data":     map[string]any{"username": "cm91dGVy", "password": base64.StdEncoding.EncodeToString([]byte("in-the-secret"))}}}}
	config := map[string]any{"kind": "ConfigMap", "data": map[string]any{"config": "# peers\npeers:\n- password: |\n    block-password\n  my-asn: 1\n"}}
	workload := map[string]any{"env": []any{map[string]any{"name": "BGP_PASSWORD", "value": "from-env"}, map[string]any{"name": "OTHER", "value": "plain"}},
		"args": []any{"--token-file=/token", "--password=from-args"}, "automountServiceAccountToken": false}
	r := New()
	for _, o := range []map[string]any{peer, secret, config, workload} {
		r.Object(o)
	}
	want := []map[string]any{
		{"kind": "BGPPeer", "metadata": map[string]any{"annotations": map[string]any{"last-applied": `{"kind":"BGPPeer","spec":{"password":"<redacted>","peerPort":179}}`}},
			"spec": map[string]any{"password": Marker, "peerPort": json.Number("179"), "passwordSecret": map[string]any{"name": "router"}}},
		{"kind": "SecretList", "items": []any{map[string]any{"metadata": map[string]any{"name": "router", "annotations": map[string]any{"last-applied": Marker}},
			"type": "kubernetes.io/basic-auth", "data": map[string]any{"username": Marker, "password": Marker}}}},
		{"kind": "ConfigMap", "data": map[string]any{"config": "# peers\npeers:\n- password: |\n    <redacted>\n  my-asn: 1\n"}},
		{"env": []any{map[string]any{"name": "BGP_PASSWORD", "value": Marker}, map[string]any{"name": "OTHER", "value": "plain"}},
			"args": []any{"--token-file=/token", "--password=<redacted>"}, "automountServiceAccountToken": false},
	}
	if diff := cmp.Diff(want, []map[string]any{peer, secret, config, workload}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	log := string(r.Text([]byte("older<one> newer-one even-older in-the-secret block-password from-env")))
	if log != strings.TrimSpace(strings.Repeat(Marker+" ", 6)) {
		t.Errorf("not all was learned: %s", log)
	}
}
