package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackagesAreNamed finds every package of the product in the table of docs/architecture.md.
func TestPackagesAreNamed(t *testing.T) {
	_, table, _ := strings.Cut(pages(t)["docs/architecture.md"].text, "\n## Packages\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var named []string
	for _, c := range code.FindAllStringSubmatch(table, -1) {
		named = append(named, "/"+strings.TrimPrefix(c[1], "…/"))
	}
	for _, top := range []string{"apiserver", "certs", "controller", "deploy", "speaker", "webhooks"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() || strings.Contains(path, "testdata") {
				return err
			}
			sources, err := filepath.Glob(filepath.Join(path, "*.go"))
			if err != nil || len(sources) == 0 {
				return err
			}
			if _, err := os.Stat(filepath.Join(path, "main.go")); err == nil {
				return nil // a program is not a package that others use
			}
			dir := "/" + filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
			for _, name := range named {
				if strings.HasSuffix(dir, name) {
					return nil
				}
			}
			t.Errorf("docs/architecture.md does not name the package %s", dir[1:])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
