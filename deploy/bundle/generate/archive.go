package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/deploy/bundle"
	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/deploy/image/archive"
)

// pack writes the image of a bundle: its files alone, for every platform on whose nodes it may be unpacked.
func pack(name string, files map[string][]byte, r archive.Release) error {
	i := image.Image{
		Name: "ingot/metallb-operator-bundle", Package: "./metallb-operator-bundle", Title: "MetalLB Operator (Ingot) bundle",
		Description: "What the Operator Lifecycle Manager installs Ingot from.", User: 65534, Group: 65534, Labels: bundle.Labels(),
	}
	dirs := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		dir := path.Dir(file)
		if dir == "." {
			continue // for the administrator
		}
		if !dirs[dir] {
			i.Files = append(i.Files, image.File{Path: dir, Mode: fs.ModeDir | 0o755})
			dirs[dir] = true
		}
		i.Files = append(i.Files, image.File{Path: file, Mode: 0o644, Content: string(files[file])})
	}
	slices.SortFunc(i.Files, func(a, b image.File) int { return strings.Compare(a.Path, b.Path) })
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	made, err := archive.Write(f, i, r, []archive.Platform{{Architecture: "amd64"}, {Architecture: "arm64"}})
	if err != nil {
		return err
	}
	fmt.Printf("%s:%s@%s\n", i.Name, r.Version, made.Digest)
	return f.Close()
}
