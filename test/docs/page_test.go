// Package docs compares README.md and docs/ with what they speak of: pages, programs, paths, targets of make.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root of the repository.
const root = "../.."

// page is a page of documentation.
type page struct {
	path  string // from root
	text  string
	prose string // the text without what is fenced or indented as code
	// anchors are those of its headings.
	anchors map[string]bool
}

var (
	fence   = regexp.MustCompile("(?ms)^[ ]*```.*?^[ ]*```[ ]*$")
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	// unslugged is what GitHub leaves out of the anchor of a heading.
	unslugged = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
)

// pages are README.md and all of docs/, by their paths.
func pages(t *testing.T) map[string]page {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]page{}
	for _, path := range append(paths, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		p := page{path: name, text: string(text), prose: fence.ReplaceAllString(string(text), ""), anchors: map[string]bool{}}
		for _, h := range heading.FindAllStringSubmatch(p.prose, -1) {
			p.anchors[p.free(slug(h[1]))] = true
		}
		found[name] = p
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages were found", len(found))
	}
	return found
}

// slug is the anchor of a heading, as GitHub makes it.
func slug(heading string) string {
	text := link.ReplaceAllStringFunc(heading, func(l string) string { return l[1:strings.Index(l, "]")] })
	return strings.ReplaceAll(unslugged.ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), ""), " ", "-")
}

// free is the anchor that a heading gets of which the page has the like already.
func (p page) free(anchor string) string {
	free := anchor
	for n := 1; p.anchors[free]; n++ {
		free = fmt.Sprintf("%s-%d", anchor, n)
	}
	return free
}

func TestSlug(t *testing.T) {
	for heading, want := range map[string]string{
		"A wrong centre withdraws nothing":        "a-wrong-centre-withdraws-nothing",
		"B8: `holdTime` is 0, or 3 s to 65535 s":  "b8-holdtime-is-0-or-3-s-to-65535-s",
		"Layer 2: who owns [an address](a.md#b) ": "layer-2-who-owns-an-address",
		"speaker → apiserver":                     "speaker--apiserver",
	} {
		if got := slug(heading); got != want {
			t.Errorf("%q: %s, not %s", heading, got, want)
		}
	}
}
