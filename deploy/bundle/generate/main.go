// Command generate writes the bundle for the Operator Lifecycle Manager, from a rendering of deploy/operator on its
// standard input; for a release also its image.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/ingot-lb/ingot/deploy/bundle"
	"github.com/ingot-lb/ingot/deploy/image/archive"
)

// options are the flags.
type options struct {
	bundle.Options
	kinds, out, archive, revision, created string
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "deploy/bundle", "directory to write to")
	flag.StringVar(&o.kinds, "kinds", "docs/kinds.md", "page with examples")
	flag.StringVar(&o.Tag, "tag", "", "tag of the images, which says the version, too: v1.2.3; empty: not released")
	flag.StringVar(&o.Registry, "registry", "", "what is before ingot/ in the names of images, with a slash")
	flag.StringVar(&o.archive, "archive", "", "file to write the bundle's image to; empty: none")
	flag.StringVar(&o.revision, "revision", "", "commit that the images were built from")
	flag.StringVar(&o.created, "created", "", "time of the release, in seconds since 1970")
	flag.Parse()
	if err := run(o, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// version is a semantic one: https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string, without what
// comes behind a plus, which no tag can have.
var version = regexp.MustCompile(`^v?((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?)$`)

func run(o options, rendering io.Reader) error {
	o.Version = bundle.Unreleased
	release := archive.Release{Version: o.Tag, Revision: o.revision}
	if o.Tag != "" {
		parsed := version.FindStringSubmatch(o.Tag)
		if parsed == nil {
			return fmt.Errorf("the tag %q is no semantic version, which OLM orders bundles by", o.Tag)
		}
		o.Version = parsed[1]
		seconds, err := strconv.ParseInt(o.created, 10, 64)
		if err != nil {
			return fmt.Errorf("time of the release: %w", err)
		}
		release.Created = time.Unix(seconds, 0).UTC()
		o.Created = release.Created.Format(time.RFC3339)
	}
	rendered, err := io.ReadAll(rendering)
	if err != nil {
		return fmt.Errorf("the rendering: %w", err)
	}
	if o.Kinds, err = os.ReadFile(o.kinds); err != nil {
		return err
	}
	files, err := bundle.Generate(rendered, o.Options)
	if err != nil {
		return err
	}
	// What is no longer made must not stay.
	if err := os.RemoveAll(filepath.Join(o.out, "manifests")); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(o.out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if o.archive == "" {
		return nil
	}
	return pack(o.archive, files, release)
}
