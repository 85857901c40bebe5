package archive

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeLayout writes an OCI image layout (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md) as a tar. Its
// index.json has one entry, the index over the platforms, so that nobody who reads it has to be told which one to take. It
// returns the digest of that index. Both are spelt by the specification's own types, as whoever copies them spells them, so
// that the digest is the same afterwards.
func writeLayout(w io.Writer, images []v1.Image, annotations map[string]string, r Release) (string, error) {
	files := map[string][]byte{}
	index := spec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: spec.MediaTypeImageIndex, Annotations: annotations}
	for _, one := range images {
		entry, err := collect(files, one)
		if err != nil {
			return "", err
		}
		index.Manifests = append(index.Manifests, entry)
	}
	entry, err := put(files, spec.MediaTypeImageIndex, index)
	if err != nil {
		return "", err
	}
	entry.Annotations = map[string]string{spec.AnnotationRefName: r.Version}
	top := spec.Index{Versioned: index.Versioned, MediaType: spec.MediaTypeImageIndex, Manifests: []spec.Descriptor{entry}}
	if files[spec.ImageIndexFile], err = json.Marshal(top); err != nil {
		return "", err
	}
	if files[spec.ImageLayoutFile], err = json.Marshal(spec.ImageLayout{Version: spec.ImageLayoutVersion}); err != nil {
		return "", err
	}
	return entry.Digest.String(), writeFiles(w, files, r.Created)
}

// put adds an object as a blob.
func put(files map[string][]byte, mediaType string, object any) (spec.Descriptor, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return spec.Descriptor{}, err
	}
	sum := digest.FromBytes(raw)
	files[blob(sum)] = raw
	return spec.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(raw))}, nil
}

// collect adds an image, and returns what an index says of it.
func collect(files map[string][]byte, one v1.Image) (spec.Descriptor, error) {
	manifest, err := one.RawManifest()
	if err != nil {
		return spec.Descriptor{}, err
	}
	sum := digest.FromBytes(manifest)
	files[blob(sum)] = manifest
	raw, err := one.RawConfigFile()
	if err != nil {
		return spec.Descriptor{}, err
	}
	files[blob(digest.FromBytes(raw))] = raw
	layers, err := one.Layers()
	if err != nil {
		return spec.Descriptor{}, err
	}
	for _, l := range layers {
		if err := collectLayer(files, l); err != nil {
			return spec.Descriptor{}, err
		}
	}
	config, err := one.ConfigFile()
	if err != nil {
		return spec.Descriptor{}, err
	}
	return spec.Descriptor{MediaType: spec.MediaTypeImageManifest, Digest: sum, Size: int64(len(manifest)),
		Platform: &spec.Platform{OS: config.OS, Architecture: config.Architecture}}, nil
}

func collectLayer(files map[string][]byte, l v1.Layer) error {
	content, err := l.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	packed, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	files[blob(digest.FromBytes(packed))] = packed
	return nil
}

// blob is the path of content in a layout.
func blob(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// writeFiles writes a tar whose entries are in order, root's and of one time.
func writeFiles(w io.Writer, files map[string][]byte, when time.Time) error {
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: when, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return archive.Close()
}
