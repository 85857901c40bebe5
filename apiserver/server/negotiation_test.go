package server

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// TestOnlyJSONAndYAML: other encodings are refused by number; who accepts JSON among others gets it.
func TestOnlyJSONAndYAML(t *testing.T) {
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(serveAlone(t)))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/metallb.io/v1beta1/namespaces/metallb-system/communities"
	const protobuf, cbor = "application/vnd.kubernetes.protobuf", "application/cbor"
	yaml := "apiVersion: metallb.io/v1beta1\nkind: Community\nmetadata: {name: mine}\n"
	for _, tt := range []struct {
		accept, content string
		code            int
	}{
		{"application/json", "application/yaml", http.StatusCreated},
		{"application/json", protobuf, http.StatusUnsupportedMediaType},
		{"application/json", cbor, http.StatusUnsupportedMediaType},
		{"application/json", "text/plain", http.StatusUnsupportedMediaType},
	} {
		var code int
		err := client.Post().AbsPath(path).SetHeader("Accept", tt.accept).SetHeader("Content-Type", tt.content).Body([]byte(yaml)).
			Do(t.Context()).StatusCode(&code).Error()
		if code != tt.code {
			t.Errorf("create in %s: status %d, %v, want %d", tt.content, code, err, tt.code)
		}
	}
	for accept, want := range map[string]string{
		"application/yaml":              "application/yaml",
		protobuf + ",application/json":  "application/json",
		cbor + ", application/json;q=1": "application/json",
		"*/*":                           "application/json",
		protobuf:                        "",
		cbor:                            "",
	} {
		var kind string
		err := client.Get().AbsPath(path).SetHeader("Accept", accept).Do(t.Context()).ContentType(&kind).Error()
		if want == "" {
			if !errors.IsNotAcceptable(err) {
				t.Errorf("list accepting %s: %v, want 406", accept, err)
			}
		} else if err != nil || !strings.HasPrefix(kind, want) {
			t.Errorf("list accepting %s: %v in %s, want %s", accept, err, kind, want)
		}
	}
}
