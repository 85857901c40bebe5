package docs

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commands are the sections with a table of flags, by the command that they are about.
var commands = []struct{ page, section, command string }{
	{"docs/flags.md", "apiserver", "apiserver"},
	{"docs/flags.md", "apiserver adopt", "apiserver adopt"},
	{"docs/flags.md", "apiserver export", "apiserver export"},
	{"docs/flags.md", "apiserver restore", "apiserver restore"},
	{"docs/flags.md", "controller", "controller"},
	{"docs/flags.md", "controller operator", "controller operator"},
	{"docs/flags.md", "webhooks", "webhooks"},
	{"docs/flags.md", "speaker", "speaker"},
	{"docs/flags.md", "speaker drain", "speaker drain"},
	{"docs/must-gather.md", "Flags", "must-gather"},
}

// TestFlagsAreDocumented compares the tables with what bin/COMMAND says to --help, made by `make programs`: every flag, and its default.
func TestFlagsAreDocumented(t *testing.T) {
	all := pages(t)
	for _, c := range commands {
		t.Run(c.command, func(t *testing.T) {
			if diff := cmp.Diff(offered(t, c.command), documented(t, all[c.page], c.section)); diff != "" {
				t.Errorf("%s, section %s (-the program +the page):\n%s", c.page, c.section, diff)
			}
		})
	}
}

var (
	// usage is one flag in what the packages flag and pflag print: its name, and the text, which package flag has in the next line.
	usage   = regexp.MustCompile(`(?m)^ +(?:-\w, )? *--?([a-z0-9][a-z0-9-]+)\b([^\n]*(?:\n +\t[^\n]*)?)`)
	preset  = regexp.MustCompile(`\(default (.*)\)$`)
	skipped = regexp.MustCompile(`(?ms)^(Global Flags|Available Commands):$.*?(\n\n|\z)`)
)

// offered are the flags of a command and their defaults, in an environment where nothing is set.
func offered(t *testing.T, command string) map[string]string {
	t.Helper()
	words := strings.Fields(command)
	program, err := filepath.Abs(filepath.Join(root, "bin", words[0]))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append(words[1:], "--help")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	help, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v\n%s", command, err, help)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, flag := range usage.FindAllStringSubmatch(skipped.ReplaceAllString(string(help), ""), -1) {
		value := ""
		if m := preset.FindStringSubmatch(flag[2]); m != nil {
			value = plain(m[1])
		}
		switch {
		case flag[1] == "help":
			continue
		case value == host && flag[1] == "id":
			value = "host name"
		}
		found[flag[1]] = value
	}
	return found
}

var (
	row  = regexp.MustCompile(`(?m)^\| ((?:` + "`" + `--?[a-z0-9-]+` + "`" + `(?:, )?)+) \| ([^|]*) \|`)
	long = regexp.MustCompile("`--([a-z0-9-]+)`")
	note = regexp.MustCompile(` \([^)]*\)$`)
)

// documented are the flags in the table of a section. A row may be about several, with one default for all or one for each.
func documented(t *testing.T, p page, section string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for part := range strings.SplitSeq(p.text, "\n#") {
		title, body, _ := strings.Cut(strings.TrimLeft(part, "#"), "\n")
		if strings.TrimSpace(title) != section {
			continue
		}
		for _, r := range row.FindAllStringSubmatch(body, -1) {
			flags := long.FindAllStringSubmatch(r[1], -1)
			defaults := strings.Split(note.ReplaceAllString(r[2], ""), ", ")
			if len(flags) == 1 {
				defaults = []string{strings.Join(defaults, ",")}
			}
			if len(defaults) == 1 {
				defaults = slices.Repeat(defaults, len(flags))
			}
			if len(defaults) != len(flags) {
				t.Errorf("%d flags and %d defaults: %s", len(flags), len(defaults), r[0])
				continue
			}
			for i, flag := range flags {
				found[flag[1]] = plain(defaults[i])
			}
		}
	}
	if len(slices.Collect(maps.Keys(found))) == 0 {
		t.Fatalf("%s has no table of flags in a section %s", p.path, section)
	}
	return found
}

// plain is a default without what it is dressed in by a page or by --help: both say nothing of what is empty, and durations in their own way.
func plain(value string) string {
	value = strings.TrimPrefix(strings.Trim(strings.ReplaceAll(value, "`", ""), `"[] `), "from ")
	if d, err := time.ParseDuration(value); err == nil && value != "0" {
		return d.String()
	}
	if value == "–" || value == "false" {
		return ""
	}
	return value
}
