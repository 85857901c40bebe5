package part

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Name{
		"etcd":             {Kind: Etcd},
		"frr":              {Kind: FRR},
		"speaker/node1":    {Kind: Speaker, Instance: "node1"},
		"kube-proxy/node2": {Kind: KubeProxy, Instance: "node2"},
		"apiserver/1":      {Kind: APIServer, Instance: "1"},
	} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", in, got, err, want)
		}
		if got.String() != in {
			t.Errorf("Parse(%q).String() = %q", in, got)
		}
	}
}

func TestParseSaysWhatIsAccepted(t *testing.T) {
	for in, want := range map[string]string{
		"spaeker/node1": "speaker/node1",
		"":              "kube-apiserver",
		"speaker":       "speaker/node1",
		"apiserver/":    "apiserver/1",
		"etcd/1":        "named etcd",
	} {
		if _, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", in, err, want)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	for _, name := range Examples() {
		if _, err := Parse(name); err != nil {
			t.Error(err)
		}
	}
}
