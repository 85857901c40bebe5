package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var (
	fenced = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	whole  = regexp.MustCompile(`(?m)^apiVersion: `)
)

// examples are the objects in the YAML of a page of docs/: those blocks that begin with an apiVersion. Others are parts of objects, values of
// the chart, and kustomizations, which test/install renders.
func examples(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		if whole.MatchString(block[1]) {
			found = append(found, block[1])
		}
	}
	return found
}

// TestKindsHaveExamples applies docs/kinds.md: every kind that users write is in it, all of it can be there at once, every field is known,
// and the objects come to be in effect.
func TestKindsHaveExamples(t *testing.T) {
	all := strings.Join(examples(t, "kinds.md"), "---\n")
	if _, err := tryKubectl(all, "apply", "--server-side", "--validate=strict", "-f", "-"); err != nil {
		// What one object needs may come after it in the page: an alias, or a pool.
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := tryKubectl(all, "delete", "--ignore-not-found", "--wait", "-f", "-"); err != nil {
			t.Error(err)
		}
	})

	var resources struct {
		Resources []struct {
			Name, Kind string
			Verbs      []string
		}
	}
	served := kubectl(t, "get", "--raw", "/apis/metallb.io/v1beta1")
	if err := json.Unmarshal([]byte(served), &resources); err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.Resources {
		written := strings.Contains(strings.Join(r.Verbs, " "), "update") && !strings.Contains(r.Name, "/")
		if written && !strings.Contains(all, "kind: "+r.Kind+"\n") {
			t.Errorf("docs/kinds.md has no example of %s", r.Kind)
		}
	}

	for _, kind := range []string{"ipaddresspool", "l2advertisement", "bgppeer", "bfdprofile", "bgpadvertisement", "community", "ipreservation"} {
		for _, condition := range []string{"Ready", "ReferencesResolved"} {
			kubectl(t, "wait", "--for=condition="+condition, kind+"/kinds", inSystem, fmt.Sprintf("--timeout=%s", long))
		}
	}
}

// TestExamplesOfOtherPages asks the server about the examples of every other page; those of the rules have what is refused, and a test beside the rules.
func TestExamplesOfOtherPages(t *testing.T) {
	pages, err := os.ReadDir("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, page := range pages {
		if name := page.Name(); strings.HasSuffix(name, ".md") && !strings.HasPrefix(name, "rules") && name != "kinds.md" {
			for _, example := range examples(t, name) {
				asked++
				if _, err := tryKubectl(example, "apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-"); err != nil {
					t.Errorf("%s: %v\n%s", name, err, example)
				}
			}
		}
	}
	if asked < 4 {
		t.Errorf("only %d examples were found", asked)
	}
}

var metricRow = regexp.MustCompile("(?m)^\\| (`[a-z0-9_`, ]+`) \\| (\\w+) \\|([^|]*)\\|")

// TestMetricsAreDocumented compares docs/metrics.md with what the programs serve: each metric of ours, its type and its labels.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{
		"Controller": in(t, "control", "curl", "-sS", "http://127.0.0.1:7480/metrics"),
		"Speaker":    in(t, "node1", "curl", "-sS", "http://127.0.0.1:7472/metrics"),
		"Apiserver":  in(t, "control", "curl", "-sS", "http://172.30.0.2:7472/metrics"),
		"Webhooks":   in(t, "control", "curl", "-sS", "http://127.0.0.1:7481/metrics"),
	}
	for program, served := range pages {
		documented := map[string][2]string{}
		_, section, ok := strings.Cut(string(page), "\n## "+program+"\n")
		if !ok {
			t.Fatalf("docs/metrics.md has no section %s", program)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, row := range metricRow.FindAllStringSubmatch(section, -1) {
			for name := range strings.SplitSeq(strings.ReplaceAll(row[1], "`", ""), ", ") {
				documented[name] = [2]string{row[2], strings.TrimSpace(strings.ReplaceAll(row[3], "`", ""))}
			}
		}
		ours := regexp.MustCompile(`^(ingot|metallb|grpc)_`)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(served))
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		for name, family := range families {
			if !ours.MatchString(name) {
				continue
			}
			words, ok := documented[name]
			if !ok {
				t.Errorf("docs/metrics.md does not have %s of the section %s", name, program)
				continue
			}
			if got := strings.ToLower(family.GetType().String()); got != words[0] {
				t.Errorf("%s is a %s; docs/metrics.md says %s", name, got, words[0])
			}
			for _, label := range family.GetMetric()[0].GetLabel() {
				if !slices.Contains(strings.Split(words[1], ", "), label.GetName()) {
					t.Errorf("docs/metrics.md does not have the label %s of %s", label.GetName(), name)
				}
			}
		}
	}
}
