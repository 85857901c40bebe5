// Package archive is what a gathering leaves: a tree of files, an index of what was asked, when and with what result, and one
// compressed file of it all.
package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ingot-lb/ingot/deploy/must-gather/redact"
)

// Entry says of one thing that was asked for how it went.
type Entry struct {
	// Path is the file below the tree's root; without one nothing was written.
	Path string `json:"path,omitempty"`
	// Command is what was run, as a person would type it.
	Command string    `json:"command,omitempty"`
	Started time.Time `json:"started"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Exit is the exit status; -1 of what did not end by itself, or was not begun.
	Exit int `json:"exit"`
	// Bytes is the size of the file.
	Bytes int `json:"bytes"`
	// Error is why there is nothing, or not everything.
	Error string `json:"error,omitempty"`
	// Note is what to know of the file.
	Note string `json:"note,omitempty"`
}

// Tree is a directory in the making. Everything that is written to it is redacted.
type Tree struct {
	root   string
	secret *redact.Redactor

	mu      sync.Mutex
	entries []Entry
	// written are the files with the generation of the secrets that they were redacted with.
	written map[string]int
}

// New makes the directory if need be. It must be empty, unless it is shared with others, as a mounted volume is.
func New(root string, shared bool, secret *redact.Redactor) (*Tree, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	found, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 && !shared {
		return nil, fmt.Errorf("%s is not empty: it has %s", root, found[0].Name())
	}
	return &Tree{root: root, secret: secret, written: map[string]int{}}, nil
}

// Write adds a file and its entry. The content is redacted as text, or, if it was redacted as an object already, for known secrets.
func (t *Tree) Write(e Entry, content []byte, isObject bool) error {
	generation := t.secret.Generation()
	if isObject {
		content = t.secret.Known(content)
	} else {
		content = t.secret.Text(content)
	}
	e.Bytes = len(content)
	if err := t.put(e.Path, content); err != nil {
		return err
	}
	t.mu.Lock()
	t.written[e.Path] = generation
	t.mu.Unlock()
	t.Note(e)
	return nil
}

// Note adds an entry of something that left no file.
func (t *Tree) Note(e Entry) {
	e.Command = string(t.secret.Text([]byte(e.Command)))
	e.Error = string(t.secret.Text([]byte(e.Error)))
	e.Started, e.Seconds = e.Started.UTC().Truncate(time.Millisecond), float64(int(e.Seconds*1000))/1000
	t.mu.Lock()
	t.entries = append(t.entries, e)
	t.mu.Unlock()
}

// put writes one file below the root.
func (t *Tree) put(path string, content []byte) error {
	if !filepath.IsLocal(path) {
		return fmt.Errorf("%q does not stay below %s", path, t.root)
	}
	full := filepath.Join(t.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	return os.WriteFile(full, content, 0o600)
}

// Name makes one part of a path out of a name of any kind.
func Name(name string) string {
	name = strings.Map(func(c rune) rune {
		if c == '.' || c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	if strings.Trim(name, ".") == "" {
		return "_" + name
	}
	return name
}

// Failed counts the entries, and those with an error.
func (t *Tree) Failed() (failed, all int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.Error != "" {
			failed++
		}
	}
	return failed, len(t.entries)
}

// Close hides in all files what was learned after they were written, and writes the index.
func (t *Tree) Close(head map[string]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for path, generation := range t.written {
		if generation != t.secret.Generation() {
			errs = append(errs, t.again(path))
		}
	}
	slices.SortStableFunc(t.entries, func(a, b Entry) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Command, b.Command)
	})
	index := struct {
		Head    map[string]string `json:"about"`
		Entries []Entry           `json:"entries"`
	}{head, t.entries}
	out, err := json.MarshalIndent(index, "", "  ")
	if err == nil {
		err = t.put("index.json", t.secret.Known(append(out, '\n')))
	}
	return errors.Join(append(errs, err, t.put("index.txt", t.secret.Known(t.table(head))))...)
}

func (t *Tree) again(path string) error {
	full := filepath.Join(t.root, path)
	content, err := os.ReadFile(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.WriteFile(full, t.secret.Known(content), 0o600)
}

// table is the index for people, with what failed first.
func (t *Tree) table(head map[string]string) []byte {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range head {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(w, "%s:\t%s\n", k, head[k])
	}
	for _, failed := range []bool{true, false} {
		title := "\nCOLLECTED\tSTARTED\tSECONDS\tEXIT\tBYTES\tCOMMAND"
		if failed {
			title = "\nNOT COLLECTED\tSTARTED\tSECONDS\tEXIT\tBYTES\tCOMMAND\tERROR"
		}
		fmt.Fprintln(w, title)
		for _, e := range t.entries {
			if failed != (e.Error != "") {
				continue
			}
			path, said := e.Path, e.Note
			if path == "" {
				path = "-"
			}
			if failed {
				said, _, _ = strings.Cut(e.Error, "\n")
			}
			fmt.Fprintf(w, "%s\t%s\t%.3f\t%d\t%d\t%s\t%s\n", path, e.Started.Format(time.RFC3339), e.Seconds, e.Exit, e.Bytes, e.Command, said)
		}
	}
	if err := w.Flush(); err != nil {
		return []byte(err.Error())
	}
	return []byte(b.String())
}
