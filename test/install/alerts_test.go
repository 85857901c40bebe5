package install

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAlertsAskForMetricsThatExist looks for each metric of the alerts in our code or in what its tests want to see.
func TestAlertsAskForMetricsThatExist(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^ +expr: .*`).FindAllString(string(rules), -1) {
		for _, name := range regexp.MustCompile(`\b(metallb|ingot)_[a-z0-9_]+`).FindAllString(line, -1) {
			missing[name] = true
		}
	}
	if len(missing) < 15 {
		t.Fatalf("only %d metrics: %v", len(missing), slices.Sorted(maps.Keys(missing)))
	}
	for _, dir := range []string{"apiserver", "certs", "controller", "speaker", "test"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			source, err := os.ReadFile(path)
			for name := range missing {
				if strings.Contains(string(source), `"`+name+`"`) {
					delete(missing, name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(missing) > 0 {
		t.Errorf("metrics that are nowhere: %v", slices.Sorted(maps.Keys(missing)))
	}
}
