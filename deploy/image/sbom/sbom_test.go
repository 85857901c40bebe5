package sbom

import (
	"debug/buildinfo"
	"encoding/json"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var subject = Subject{
	Name: "ingot/speaker", File: "/speaker", Version: "v1.2.3", Platform: "linux/arm64", Source: "https://example.org/ingot",
	SHA256: strings.Repeat("0a", 32), Created: time.Unix(1700000000, 0), Licenses: "Apache-2.0",
}

func made(t *testing.T, info *buildinfo.BuildInfo) map[string]any {
	t.Helper()
	content, err := SPDX(info, subject)
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSchema reads the document of this test's own program back without our types, and holds it against what version 2.3 says of
// fields: which are required, how they are spelt, and what may refer to what.
func TestSchema(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build info")
	}
	d := made(t, info)
	check(t, "document", d, map[string]string{
		"spdxVersion": `SPDX-2\.3`, "dataLicense": `CC0-1\.0`, "SPDXID": `SPDXRef-DOCUMENT`, "name": `.+`, "documentNamespace": `https://[^#\s]+`,
		"creationInfo": ``, "packages": ``, "relationships": ``,
	}, nil)
	creation := d["creationInfo"].(map[string]any)
	check(t, "creationInfo", creation, map[string]string{"created": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "creators": ``}, nil)
	for _, c := range creation["creators"].([]any) {
		if !regexp.MustCompile(`^(Person|Organization|Tool): .+`).MatchString(c.(string)) {
			t.Errorf("creator %q", c)
		}
	}
	ids := map[string]bool{"SPDXRef-DOCUMENT": true}
	for _, p := range d["packages"].([]any) {
		p := p.(map[string]any)
		check(t, "package", p, map[string]string{
			"name": `.+`, "SPDXID": `SPDXRef-[a-zA-Z0-9.-]+`, "versionInfo": `.+`, "downloadLocation": `NOASSERTION|git\+https://.+`, "filesAnalyzed": `false`,
			"licenseConcluded": `NOASSERTION`, "licenseDeclared": `NOASSERTION|Apache-2\.0`, "copyrightText": `NOASSERTION`, "primaryPackagePurpose": `APPLICATION|LIBRARY`, "externalRefs": ``,
		}, map[string]string{"packageFileName": `/speaker`, "checksums": ``, "sourceInfo": `go\.sum h1:[A-Za-z0-9+/]{43}=`})
		for _, r := range p["externalRefs"].([]any) {
			check(t, "externalRef", r.(map[string]any), map[string]string{
				"referenceCategory": `PACKAGE-MANAGER`, "referenceType": `purl`, "referenceLocator": `pkg:golang/[a-z0-9._~/-]+@[A-Za-z0-9.()%_~-]+`,
			}, nil)
		}
		if sums, ok := p["checksums"].([]any); ok {
			for _, s := range sums {
				check(t, "checksum", s.(map[string]any), map[string]string{"algorithm": `SHA256`, "checksumValue": `[0-9a-f]{64}`}, nil)
			}
		}
		if id := p["SPDXID"].(string); ids[id] {
			t.Errorf("two elements %s", id)
		} else {
			ids[id] = true
		}
	}
	related := map[string]bool{}
	for _, r := range d["relationships"].([]any) {
		r := r.(map[string]any)
		check(t, "relationship", r, map[string]string{"spdxElementId": `.+`, "relationshipType": `DESCRIBES|DEPENDS_ON`, "relatedSpdxElement": `.+`}, nil)
		from, to := r["spdxElementId"].(string), r["relatedSpdxElement"].(string)
		if !ids[from] || !ids[to] {
			t.Errorf("%s and %s are related, but not there", from, to)
		}
		related[to] = true
	}
	if len(related) != len(ids)-1 || len(ids) != len(info.Deps)+3 {
		t.Errorf("%d elements for %d modules, %d of them related", len(ids), len(info.Deps), len(related))
	}
}

// check says what an object has that it may not have, lacks, or spells wrongly.
func check(t *testing.T, what string, object map[string]any, required, optional map[string]string) {
	t.Helper()
	for name, value := range object {
		pattern, known := required[name]
		if !known {
			pattern, known = optional[name]
		}
		text, isText := value.(string)
		if !isText {
			if b, isBool := value.(bool); isBool && !b {
				text = "false"
			}
		}
		if !known || pattern != "" && !regexp.MustCompile(`^(`+pattern+`)$`).MatchString(text) {
			t.Errorf("%s: %s is %v", what, name, value)
		}
	}
	for name := range required {
		if _, there := object[name]; !there {
			t.Errorf("%s: no %s", what, name)
		}
	}
}

// TestModules: what was replaced is named by what is in its place, and versions are spelt as addresses want them.
func TestModules(t *testing.T) {
	info := &buildinfo.BuildInfo{GoVersion: "go1.26.8 X:something", Main: debug.Module{Path: "github.com/ingot-lb/ingot", Version: "(devel)"}, Deps: []*debug.Module{
		{Path: "github.com/Azure/go_ansi", Version: "v2.0.0+incompatible", Sum: "h1:abc="},
		{Path: "example.org/a", Version: "v1.0.0", Sum: "h1:no=", Replace: &debug.Module{Path: "example.org/b", Version: "v1.0.1", Sum: "h1:yes="}},
	}}
	var got []string
	for _, p := range made(t, info)["packages"].([]any) {
		p := p.(map[string]any)
		source, _ := p["sourceInfo"].(string)
		got = append(got, strings.Join([]string{p["SPDXID"].(string), p["name"].(string), p["versionInfo"].(string), source,
			p["externalRefs"].([]any)[0].(map[string]any)["referenceLocator"].(string)}, " "))
	}
	want := []string{
		"SPDXRef-Program ingot/speaker v1.2.3  pkg:golang/github.com/ingot-lb/ingot@v1.2.3",
		"SPDXRef-Go-stdlib stdlib 1.26.8  pkg:golang/stdlib@1.26.8",
		"SPDXRef-Go-github.com-Azure-go-5f-ansi github.com/Azure/go_ansi v2.0.0+incompatible go.sum h1:abc= pkg:golang/github.com/azure/go_ansi@v2.0.0%2Bincompatible",
		"SPDXRef-Go-example.org-a example.org/b v1.0.1 go.sum h1:yes= pkg:golang/example.org/b@v1.0.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	info.Deps = slices.Concat(info.Deps, info.Deps[:1])
	if _, err := SPDX(info, subject); err == nil {
		t.Error("two modules of one path are taken")
	}
}
