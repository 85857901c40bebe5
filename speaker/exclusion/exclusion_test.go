package exclusion

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheFileGoesBeforeTheList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "excludel2.yaml")
	tests := []struct{ name, content, want string }{
		{"a list", "announcedInterfacesToExclude: [\"^docker.*\", veth]\n", "[^docker.* veth]"},
		{"an empty list", "announcedInterfacesToExclude: []\n", "[]"},
		{"an empty file", "", "[]"},
		{"other keys beside it", "announcedInterfacesToExclude: [lo]\nother: {a: b}\n", "[lo]"},
	}
	for _, tt := range tests {
		write(t, path, tt.content)
		l, err := Open(path, []string{"^lo$"})
		if err != nil || fmt.Sprint(l.Expressions()) != tt.want {
			t.Errorf("%s: %v, %v", tt.name, l, err)
		}
	}
	for _, none := range []string{"", path + ".absent"} {
		if l, err := Open(none, Default); err != nil || len(l.Expressions()) != len(Default) || !l.Expressions()[6].MatchString("lo") {
			t.Errorf("without a file: %v, %v", l, err)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "excludel2.yaml")
	for content, want := range map[string]string{
		"announcedInterfacesToExclude: [\"^lo$\", \"docker(\"]\n": `excludel2.yaml: announcedInterfacesToExclude: "docker(" is no regular expression`,
		"announcedInterfaceToExclude: [lo]\n":                     "there is no announcedInterfacesToExclude",
		"announcedInterfacesToExclude: lo\n":                      "excludel2.yaml",
		"{":                                                       "excludel2.yaml",
	} {
		write(t, path, content)
		if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	if _, err := Open("", []string{"*"}); err == nil || !strings.Contains(err.Error(), `"*" is no regular expression`) {
		t.Errorf("a wrong list: %v", err)
	}
}

// writer is an io.Writer.
type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestAChangeIsTakenWithoutARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "excludel2.yaml")
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(path, []string{"^lo$"})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var said bytes.Buffer
		var heard []string
		log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return said.Write(b)
		}), nil))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.Follow(ctx, log, func(list []*regexp.Regexp) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprint(list))
		})
		step := func(what, want string, complaints int) {
			t.Helper()
			<-time.After(10 * lookEvery)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(heard, " "); got != want || strings.Count(said.String(), "stays as it was") != complaints {
				t.Errorf("%s: %s, want %s; said: %s", what, got, want, said.String())
			}
			heard = nil
		}
		step("nothing", "", 0)
		write(t, path, "announcedInterfacesToExclude: [a]\n")
		step("a file", "[a]", 0)
		write(t, path, "announcedInterfacesToExclude: [\"(\"]\n")
		step("a wrong one", "", 1)
		write(t, path, "announcedInterfacesToExclude: [a]\n")
		step("the one before", "", 1)
		write(t, path, "announcedInterfacesToExclude: [\"(\"]\n")
		step("the wrong one again", "", 2)
		write(t, path, "announcedInterfacesToExclude: [b]\n")
		step("a right one", "[b]", 2)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step("none any more", "[^lo$]", 2)
	})
}
