package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// most is how many lines a page may have; a longer one is to be split.
const most = 300

// TestLinks follows every link of every page that leads to a page, a section or a file of the repository.
func TestLinks(t *testing.T) {
	all := pages(t)
	followed := 0
	for _, p := range all {
		for _, l := range link.FindAllStringSubmatch(p.prose, -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			followed++
			to, anchor, _ := strings.Cut(l[1], "#")
			target := p.path
			if to != "" {
				target = filepath.Join(filepath.Dir(p.path), to)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s leads nowhere", p.path, l[1])
				continue
			}
			if other, ok := all[target]; anchor != "" && (!ok || !other.anchors[anchor]) {
				t.Errorf("%s: %s leads to no section of %s", p.path, l[1], target)
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links were found", followed)
	}
}

// TestIndex finds every page of docs/ from README.md, and none of them too long to be found one's way in.
func TestIndex(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		if n := strings.Count(p.text, "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d", p.path, n, most)
		}
		if p.path != "README.md" && !strings.Contains(all["README.md"].prose, "]("+p.path+")") {
			t.Errorf("README.md does not lead to %s", p.path)
		}
	}
}

var (
	code       = regexp.MustCompile("`([^`\n]+)`")
	repository = regexp.MustCompile(`^(apiserver|controller|speaker|webhooks|certs|deploy|test|proto|docs)(/[\w.-]*[A-Za-z][\w.-]*)+/?$`)
	part       = regexp.MustCompile(`/node\d$`) // of the lab
	target     = regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`)
	function   = regexp.MustCompile(`^(Test|Benchmark|Fuzz)[A-Z]\w*$`)
)

// TestNames looks for what pages name: paths of the repository, targets of make, tests.
func TestNames(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	tests := functions(t)
	for _, p := range pages(t) {
		for _, c := range code.FindAllStringSubmatch(p.prose, -1) {
			name := c[1]
			if part.MatchString(name) {
				continue
			}
			if repository.MatchString(name) {
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Errorf("%s: there is no %s", p.path, name)
				}
			}
			if function.MatchString(name) && !tests[name] {
				t.Errorf("%s: there is no %s", p.path, name)
			}
		}
		for _, span := range append(code.FindAllString(p.prose, -1), fence.FindAllString(p.text, -1)...) {
			for _, m := range target.FindAllStringSubmatch(span, -1) {
				if !strings.Contains(string(makefile), "\n"+m[1]+":") {
					t.Errorf("%s: make has no target %s", p.path, m[1])
				}
			}
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Z]\w*)\(`)

// functions are the tests, benchmarks and fuzz tests of the repository.
func functions(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range []string{"apiserver", "certs", "controller", "deploy", "speaker", "test", "webhooks"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range declaration.FindAllSubmatch(source, -1) {
				found[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
