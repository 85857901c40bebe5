package archive

import (
	"fmt"
	"io"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/ingot-lb/ingot/deploy/image"
)

// Made is what somebody wants to know of an archive that was written.
type Made struct {
	// Digest of the index: what a registry knows the image by once it is copied there as it is.
	Digest string
	// Platforms that it has, in order.
	Platforms []MadePlatform
}

// MadePlatform is the image of one platform.
type MadePlatform struct {
	// Name is linux/ARCHITECTURE.
	Name string
	// Compressed is what is transferred, and Unpacked what it takes on a node, in bytes.
	Compressed, Unpacked int64
	// SBOM in SPDX, which is in the image as well.
	SBOM []byte
}

// Write writes the archive of an image.
func Write(w io.Writer, i image.Image, r Release, platforms []Platform) (Made, error) {
	if err := r.Validate(); err != nil {
		return Made{}, err
	}
	sorted, err := order(platforms)
	if err != nil {
		return Made{}, fmt.Errorf("%s: %w", i.Name, err)
	}
	var made Made
	var images []v1.Image
	for _, p := range sorted {
		program, err := read(i, r, p)
		if err != nil {
			return Made{}, err
		}
		one, err := assemble(i, r, p, program)
		if err != nil {
			return Made{}, err
		}
		size, err := compressed(one)
		if err != nil {
			return Made{}, fmt.Errorf("%s: %w", i.Name, err)
		}
		images = append(images, one)
		made.Platforms = append(made.Platforms, MadePlatform{Name: "linux/" + p.Architecture, Compressed: size, Unpacked: int64(len(program.content)), SBOM: program.bill})
	}
	if made.Digest, err = writeLayout(w, images, r.labels(i), r); err != nil {
		return Made{}, fmt.Errorf("archive of %s: %w", i.Name, err)
	}
	return made, nil
}

// assemble makes the image of one platform.
func assemble(i image.Image, r Release, p Platform, content program) (v1.Image, error) {
	files, err := layer(i, content, r.Created)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	// Without a base, whose time and platform would otherwise be taken over.
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{
		OS: "linux", Architecture: p.Architecture, Created: v1.Time{Time: r.Created.UTC()}, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: strconv.Itoa(i.User) + ":" + strconv.Itoa(i.Group), WorkingDir: "/",
			Entrypoint: i.Entrypoint, Env: i.Env, Labels: r.labels(i),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", i.Name, err)
	}
	full, err := mutate.Append(base, mutate.Addendum{Layer: files, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: r.Created.UTC()}, CreatedBy: "make images", Author: vendor}})
	if err != nil {
		return nil, fmt.Errorf("image of %s: %w", i.Name, err)
	}
	return mutate.Annotations(full, r.labels(i)).(v1.Image), nil
}

func compressed(one v1.Image) (int64, error) {
	manifest, err := one.Manifest()
	if err != nil {
		return 0, err
	}
	size := manifest.Config.Size
	for _, l := range manifest.Layers {
		size += l.Size
	}
	return size, nil
}
