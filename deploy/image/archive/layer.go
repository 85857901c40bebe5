package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/ingot-lb/ingot/deploy/image"
)

// bills is where images have their SBOM; scanners know it by its suffix.
const bills = "usr/share/sbom"

// billOf is the path of an image's SBOM.
func billOf(i image.Image) string { return bills + "/" + i.Program() + ".spdx.json" }

// layer is the one layer of an image: all of its files.
func layer(i image.Image, p program, when time.Time) (v1.Layer, error) {
	var raw bytes.Buffer
	if err := writeRoot(&raw, files(i, p), p.content, when); err != nil {
		return nil, fmt.Errorf("root of %s: %w", i.Name, err)
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil }
	made, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("layer of %s: %w", i.Name, err)
	}
	return made, nil
}

// files are those of the image and its SBOM, in order.
func files(i image.Image, p program) []image.File {
	all := slices.Clone(i.Files)
	if p.bill == nil {
		return all
	}
	have := map[string]bool{}
	for _, f := range all {
		have[f.Path] = true
	}
	for at, r := range bills + "/" {
		if dir := bills[:at]; r == '/' && !have[dir] {
			all = append(all, image.File{Path: dir, Mode: fs.ModeDir | 0o755})
		}
	}
	all = append(all, image.File{Path: billOf(i), Mode: 0o644, Content: string(p.bill)})
	slices.SortFunc(all, func(a, b image.File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// writeRoot writes files as a tar of root's, all of one time.
func writeRoot(w io.Writer, files []image.File, program []byte, when time.Time) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.Path, Mode: int64(f.Mode.Perm()), ModTime: when, Format: tar.FormatUSTAR}
		content := []byte(f.Content)
		switch {
		case f.Program:
			content, header.Typeflag = program, tar.TypeReg
		case f.Mode.IsDir():
			header.Name, header.Typeflag = f.Path+"/", tar.TypeDir
		case f.Mode.Type() == fs.ModeSymlink:
			header.Linkname, header.Typeflag = f.Target, tar.TypeSymlink
		default:
			header.Typeflag = tar.TypeReg
		}
		header.Size = int64(len(content))
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if _, err := archive.Write(content); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return archive.Close()
}
