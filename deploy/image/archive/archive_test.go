package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/ingot-lb/ingot/deploy/image"
)

var release = Release{Version: "v1.2.3", Revision: "c0ffee", Created: time.Unix(1700000000, 0)}

// TestImagesRun makes the image of every program as it is in bin/, for the architecture that it was built for, and starts it with
// nothing else around it. Needs root, and make build.
func TestImagesRun(t *testing.T) {
	commands := map[string]map[string]string{ // of each image, commands and what they print
		"ingot/apiserver":   {"/apiserver --help": "--data-dir", "/apiserver etcd --help": "--listen-peer-urls"},
		"ingot/controller":  {"/controller --help": "-leader-elect"},
		"ingot/speaker":     {"/speaker --help": "--dispatch", "speaker show --help": "announcements", `vtysh -c show\ version`: "/run/ingot/speaker.sock"},
		"ingot/webhooks":    {"/webhooks --help": "-enforce"},
		"ingot/must-gather": {"/usr/bin/gather --help": "--kubectl"},
	}
	for _, i := range image.All() {
		t.Run(i.Program(), func(t *testing.T) {
			one := read1(t, write(t, i, filepath.Join("..", "..", "..", "bin", i.Program())), i)
			root := unpack(t, one)
			for command, want := range commands[i.Name] {
				if out := run(t, root, one, command); !strings.Contains(out, want) {
					t.Errorf("%s: %q, want %q", command, out, want)
				}
			}
			if len(commands[i.Name]) == 0 {
				t.Errorf("nothing says how %s is called", i.Name)
			}
			bill, err := os.ReadFile(filepath.Join(root, billOf(i)))
			if err != nil || !json.Valid(bill) {
				t.Errorf("SBOM: %v, %.40q", err, bill)
			}
		})
	}
}

// write makes an archive, in a directory of its layout.
func write(t *testing.T, i image.Image, program string) string {
	t.Helper()
	var packed bytes.Buffer
	made, err := Write(&packed, i, release, []Platform{{runtime.GOARCH, program}})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Platforms) != 1 || made.Platforms[0].Name != "linux/"+runtime.GOARCH || made.Platforms[0].Compressed >= made.Platforms[0].Unpacked {
		t.Errorf("made for %+v", made.Platforms)
	}
	dir := t.TempDir()
	extract(t, &packed, dir)
	return dir
}

// read1 reads a layout as who gets it does, checks all of it, and returns its only image.
func read1(t *testing.T, dir string, i image.Image) v1.Image {
	t.Helper()
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].MediaType != types.OCIImageIndex || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != release.Version {
		t.Fatalf("index.json has %+v", manifest.Manifests)
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	platforms, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(platforms.Manifests) != 1 || !platforms.Manifests[0].Platform.Equals(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}) || platforms.Annotations["org.opencontainers.image.version"] != release.Version {
		t.Fatalf("the index has %+v", platforms)
	}
	one, err := index.Image(platforms.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, one, i)
	return one
}

func checkConfig(t *testing.T, one v1.Image, i image.Image) {
	t.Helper()
	config, err := one.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	user := "65534:65534"
	if i.Name == "ingot/speaker" {
		user = "0:0"
	}
	want := v1.Config{User: user, WorkingDir: "/", Entrypoint: i.Entrypoint, Env: i.Env, Labels: map[string]string{
		"org.opencontainers.image.title": i.Title, "org.opencontainers.image.description": i.Description,
		"org.opencontainers.image.version": "v1.2.3", "org.opencontainers.image.revision": "c0ffee", "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
		"org.opencontainers.image.source": Source, "org.opencontainers.image.url": Source, "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.vendor": "Ingot",
	}}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("configuration, -want +got\n%s", diff)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH || !config.Created.Equal(release.Created) {
		t.Errorf("for %s/%s of %v", config.OS, config.Architecture, config.Created)
	}
}

func unpack(t *testing.T, one v1.Image) string {
	t.Helper()
	flat := mutate.Extract(one)
	defer flat.Close()
	root := t.TempDir()
	extract(t, flat, root)
	return root
}

// extract unpacks a tar whose entries are root's, of the time of the release, and in order.
func extract(t *testing.T, from io.Reader, root string) {
	t.Helper()
	entries := tar.NewReader(from)
	for {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(release.Created) || h.Mode&0o022 != 0 && h.Typeflag != tar.TypeSymlink {
			t.Errorf("%s is %d:%d's, of %v, mode %o", h.Name, h.Uid, h.Gid, h.ModTime, h.Mode)
		}
		target := filepath.Join(root, h.Name)
		switch err = os.MkdirAll(filepath.Dir(target), 0o755); {
		case err != nil:
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(target, fs.FileMode(h.Mode))
		case h.Typeflag == tar.TypeSymlink:
			err = os.Symlink(h.Linkname, target)
		default:
			var content []byte
			if content, err = io.ReadAll(entries); err == nil {
				err = os.WriteFile(target, content, fs.FileMode(h.Mode))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run starts a command in the root of an image, found as a container runtime finds it, as the image's user. What it says may
// be an error: nothing that it needs is there.
func run(t *testing.T, root string, one v1.Image, line string) string {
	t.Helper()
	config, err := one.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.ReplaceAll(line, `\ `, "\x00"), " ")
	for n := range args {
		args[n] = strings.ReplaceAll(args[n], "\x00", " ")
	}
	path := args[0]
	for dir := range strings.SplitSeq(strings.TrimPrefix(config.Config.Env[0], "PATH="), ":") {
		if _, err := os.Lstat(filepath.Join(root, dir, path)); err == nil && !filepath.IsAbs(args[0]) {
			path = filepath.Join(dir, path)
			break
		}
	}
	credential := &syscall.Credential{}
	if config.Config.User != "0:0" {
		credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	command := &exec.Cmd{Path: path, Args: args, Dir: "/", Env: config.Config.Env, SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: credential}}
	out, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

// TestProgramsThatAreRefused: an image has nothing that a program could be linked with when it starts, and an index says the truth.
func TestProgramsThatAreRefused(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n# no ELF header is that short, nor begins like this\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	speaker, _ := image.ByName("ingot/speaker")
	for _, c := range []struct {
		name, want string
		platforms  []Platform
	}{
		{"none", "no platform", nil},
		{"missing", "no such file", []Platform{{runtime.GOARCH, "missing"}}},
		{"no program", "bad magic", []Platform{{runtime.GOARCH, text}}},
		{"dynamic", "not static", []Platform{{runtime.GOARCH, "/bin/sh"}}},
		{"other architecture", "it is for EM_", []Platform{{other, self}}},
		{"unknown architecture", `no images are made for "s390x"`, []Platform{{"s390x", self}}},
		{"twice", "twice", []Platform{{runtime.GOARCH, self}, {runtime.GOARCH, self}}},
	} {
		if _, err := Write(io.Discard, speaker, release, c.platforms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
