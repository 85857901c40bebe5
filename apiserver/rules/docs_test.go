package rules_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

const pages = "../../docs/rules*.md"

// example is a rule's heading in a page, the objects under it, and the answer to the last of them.
var example = regexp.MustCompile("(?s)\n### (\\w+): ([^\n]*)\n[^#]*?```yaml\n(.*?)```\n```text\n(.*?)```\n")

// TestThePagesOfRulesAreTrue judges the examples of docs/rules.md and those of its like.
func TestThePagesOfRulesAreTrue(t *testing.T) {
	names, err := filepath.Glob(pages)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(page)
	}
	explained := map[string]bool{}
	examples := example.FindAllStringSubmatch(text.String(), -1)
	for _, e := range examples {
		explained[e[1]] = true
		t.Run(e[1]+" "+e[2], func(t *testing.T) {
			if diff := cmp.Diff(e[4], answer(t, e[3])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if n := strings.Count(text.String(), "\n### "); n != len(examples) {
		t.Errorf("%d rules, %d examples", n, len(examples))
	}
	for _, id := range strings.Fields("P1 P2 P3 P4 P5 P6 P7 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 A1 A2 A3 A4 A5 A6 A7 A8 C1 F1 L1 L2 L3 L4 L5 X1 X2 X3 X4 X5 X6 X7 X10 X11") {
		if !explained[id] {
			t.Errorf("no page explains %s", id)
		}
	}
}

// answer stores the objects of an example one after the other and returns what is said of the last.
func answer(t *testing.T, manifests string) string {
	t.Helper()
	stored := map[string]runtime.Object{}
	documents := strings.Split(manifests, "---\n")
	for i, document := range documents {
		obj := decode(t, document)
		m, err := meta.Accessor(obj)
		if err != nil {
			t.Fatal(err)
		}
		key := strings.Join([]string{typeOf(t, obj), m.GetName()}, "/")
		errs, _ := rules.Check(configurationOf(t, stored), rules.Change{Resource: key, Old: stored[key], New: obj})
		if i == len(documents)-1 {
			var lines strings.Builder
			for _, e := range errs {
				lines.WriteString(e.Error() + "\n")
			}
			return lines.String()
		}
		if len(errs) > 0 {
			t.Fatalf("object %d of the example is refused: %v", i+1, errs)
		}
		stored[key] = obj
	}
	return ""
}

// decode reads a manifest as the server does: with the version that is preferred, its defaults, and no unknown field.
func decode(t *testing.T, document string) runtime.Object {
	t.Helper()
	version := "v1beta1"
	if strings.HasPrefix(document, "kind: BGPPeer\n") {
		version = "v1beta2"
	}
	json, err := yaml.ToJSON([]byte("apiVersion: metallb.io/" + version + "\n" + document))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := runtime.Decode(install.Codecs.UniversalDecoder(metallb.SchemeGroupVersion), json)
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return obj
}

func typeOf(t *testing.T, obj runtime.Object) string {
	t.Helper()
	kinds, _, err := install.Scheme.ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	return kinds[0].Kind
}

func configurationOf(t *testing.T, stored map[string]runtime.Object) *metallb.Configuration {
	t.Helper()
	c := &metallb.Configuration{}
	for _, obj := range stored {
		switch o := obj.(type) {
		case *metallb.IPAddressPool:
			c.IPAddressPools = append(c.IPAddressPools, o)
		case *metallb.AddressPool:
			c.AddressPools = append(c.AddressPools, o)
		case *metallb.L2Advertisement:
			c.L2Advertisements = append(c.L2Advertisements, o)
		case *metallb.BGPAdvertisement:
			c.BGPAdvertisements = append(c.BGPAdvertisements, o)
		case *metallb.BGPPeer:
			c.BGPPeers = append(c.BGPPeers, o)
		case *metallb.BFDProfile:
			c.BFDProfiles = append(c.BFDProfiles, o)
		case *metallb.Community:
			c.Communities = append(c.Communities, o)
		default:
			t.Fatalf("no example may have a %T", obj)
		}
	}
	return c
}
