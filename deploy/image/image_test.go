package image

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestImagesAreWellFormed keeps what makers of root file systems rely on.
func TestImagesAreWellFormed(t *testing.T) {
	for _, i := range All() {
		seen := map[string]File{".": {Mode: fs.ModeDir}}
		programs, last := 0, ""
		for _, f := range i.Files {
			if !fs.ValidPath(f.Path) || f.Path <= last {
				t.Errorf("%s: %q is no clean path, or not in order behind %q", i.Name, f.Path, last)
			}
			if !seen[path.Dir(f.Path)].Mode.IsDir() {
				t.Errorf("%s: %s comes before its directory", i.Name, f.Path)
			}
			if f.Program {
				programs++
			}
			if f.Mode.Perm()&0o022 != 0 && f.Mode.Type() != fs.ModeSymlink {
				t.Errorf("%s: others than root may write %s", i.Name, f.Path)
			}
			seen[f.Path], last = f, f.Path
		}
		if programs != 1 {
			t.Errorf("%s has %d programs", i.Name, programs)
		}
		for _, f := range i.Files {
			if target, ok := strings.CutPrefix(f.Target, "/"); (f.Mode.Type() == fs.ModeSymlink) != (f.Target != "") || f.Target != "" && (!ok || !seen[target].Program) {
				t.Errorf("%s: %s leads to %q", i.Name, f.Path, f.Target)
			}
		}
		if len(i.Entrypoint) == 0 || !seen[strings.TrimPrefix(i.Entrypoint[0], "/")].Program {
			t.Errorf("%s starts %q, which is not its program", i.Name, i.Entrypoint)
		}
		if (i.User == 0) != (i.Name == "ingot/speaker") {
			t.Errorf("%s runs as %d", i.Name, i.User)
		}
	}
}

// TestByName: a manifest's reference names an image wherever it is mirrored to.
func TestByName(t *testing.T) {
	got := map[string]string{}
	for _, reference := range []string{
		"ingot/speaker", "ingot/speaker:v1.2.3", "mirror.example:5000/ingot/speaker", "mirror.example:5000/team/ingot/speaker:v1@sha256:0123",
		"ingot/speaker@sha256:0123", "speaker", "other/speaker", "notingot/speaker", "ingot/speakers",
	} {
		i, _ := ByName(reference)
		got[reference] = i.Program()
	}
	want := map[string]string{
		"ingot/speaker": "speaker", "ingot/speaker:v1.2.3": "speaker", "mirror.example:5000/ingot/speaker": "speaker",
		"mirror.example:5000/team/ingot/speaker:v1@sha256:0123": "speaker", "ingot/speaker@sha256:0123": "speaker",
		"speaker": ".", "other/speaker": ".", "notingot/speaker": ".", "ingot/speakers": ".",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestTheSpeakerIsVtysh keeps the seeds' commands working.
func TestTheSpeakerIsVtysh(t *testing.T) {
	i, ok := ByName("ingot/speaker")
	if !ok || !slices.Contains(i.Files, File{Path: "usr/bin/vtysh", Mode: fs.ModeSymlink | 0o777, Target: "/speaker"}) {
		t.Errorf("no vtysh in %+v", i.Files)
	}
}
