// Command build writes the archive of every image, and beside it what is in it: NAME.tar, NAME-linux-ARCHITECTURE.spdx.json,
// SHA256SUMS over them, and images.txt with the references by which registries know them. `make images` calls it with programs that
// were built for each architecture, and the commit.
package main

import (
	"bufio"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/deploy/image/archive"
)

type options struct {
	programs, out, architectures, only string
	release                            archive.Release
}

func main() {
	var o options
	var created string
	flag.StringVar(&o.programs, "programs", "bin/release", "directory with a directory of programs for each architecture")
	flag.StringVar(&o.out, "out", "bin/images", "directory to write to")
	flag.StringVar(&o.architectures, "arch", "amd64 arm64", "architectures, in Go's names")
	flag.StringVar(&o.only, "only", "", "make this image alone, such as ingot/speaker")
	flag.StringVar(&o.release.Version, "version", "", "version, which becomes the tag")
	flag.StringVar(&o.release.Revision, "revision", "", "commit that the programs were built from")
	flag.StringVar(&created, "created", os.Getenv("SOURCE_DATE_EPOCH"), "time of the release in seconds since 1970 (env SOURCE_DATE_EPOCH)")
	flag.Parse()
	if err := run(o, created, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(o options, created string, report io.Writer) error {
	seconds, err := strconv.ParseInt(created, 10, 64)
	if err != nil {
		return fmt.Errorf("time of the release: %w", err)
	}
	o.release.Created = time.Unix(seconds, 0).UTC()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	images := image.All()
	if o.only != "" {
		one, known := image.ByName(o.only)
		if !known {
			return fmt.Errorf("there is no image %q", o.only)
		}
		images = []image.Image{one}
	}
	var sums, references strings.Builder
	for _, i := range images {
		if err := write(o, i, &sums, &references, report); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{"SHA256SUMS": sums.String(), "images.txt": references.String()} {
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// write makes the archive of one image and its SBOMs, and notes them.
func write(o options, i image.Image, sums, references *strings.Builder, report io.Writer) error {
	var platforms []archive.Platform
	for architecture := range strings.FieldsSeq(o.architectures) {
		platforms = append(platforms, archive.Platform{Architecture: architecture, Program: filepath.Join(o.programs, architecture, i.Program())})
	}
	name := i.Program() + ".tar"
	sum := sha256.New()
	made, err := create(filepath.Join(o.out, name), func(w io.Writer) (archive.Made, error) {
		return archive.Write(io.MultiWriter(w, sum), i, o.release, platforms)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(sums, "%x  %s\n", sum.Sum(nil), name)
	fmt.Fprintf(references, "%s:%s@%s\n", i.Name, o.release.Version, made.Digest)
	for _, p := range made.Platforms {
		bill := i.Program() + "-" + strings.ReplaceAll(p.Name, "/", "-") + ".spdx.json"
		if err := os.WriteFile(filepath.Join(o.out, bill), p.SBOM, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(sums, "%x  %s\n", sha256.Sum256(p.SBOM), bill)
		fmt.Fprintf(report, "%-18s %-12s %6.1f MB to transfer, %6.1f MB unpacked\n", i.Name, p.Name, megabytes(p.Compressed), megabytes(p.Unpacked))
	}
	return nil
}

// create writes a file that is there when it is complete, and not before.
func create(path string, write func(io.Writer) (archive.Made, error)) (archive.Made, error) {
	f, err := os.Create(path + ".part")
	if err != nil {
		return archive.Made{}, err
	}
	defer os.Remove(f.Name()) // fails once it has its name
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	made, err := write(buffered)
	if err != nil {
		return archive.Made{}, err
	}
	if err := buffered.Flush(); err != nil {
		return archive.Made{}, fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return archive.Made{}, fmt.Errorf("writing %s: %w", path, err)
	}
	return made, os.Rename(f.Name(), path)
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
