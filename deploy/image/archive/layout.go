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
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// refName is the annotation by which those who read a layout know the tag:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
const refName = "org.opencontainers.image.ref.name"

// writeLayout writes an OCI image layout (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md) as a tar. Its
// index.json has one entry, the index over the platforms, so that nobody who reads it has to be told which one to take.
func writeLayout(w io.Writer, index v1.ImageIndex, r Release) (v1.Hash, error) {
	raw, err := index.RawManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}` + "\n"), blob(digest): raw}
	if err := collect(files, index); err != nil {
		return v1.Hash{}, err
	}
	files["index.json"], err = json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIImageIndex, Digest: digest, Size: int64(len(raw)), Annotations: map[string]string{refName: r.Version},
	}}})
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, writeFiles(w, files, r.Created)
}

// collect adds all that an index points at.
func collect(files map[string][]byte, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		one, err := index.Image(d.Digest)
		if err != nil {
			return err
		}
		if files[blob(d.Digest)], err = one.RawManifest(); err != nil {
			return err
		}
		config, err := one.ConfigName()
		if err != nil {
			return err
		}
		if files[blob(config)], err = one.RawConfigFile(); err != nil {
			return err
		}
		layers, err := one.Layers()
		if err != nil {
			return err
		}
		for _, l := range layers {
			if err := collectLayer(files, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func collectLayer(files map[string][]byte, l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	content, err := l.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	files[blob(digest)], err = io.ReadAll(content)
	return err
}

// blob is the path of content in a layout.
func blob(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

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
