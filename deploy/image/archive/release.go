// Package archive makes the archive of an image: an OCI image layout in a tar file, with one image for each platform and an index
// over them, which container engines load and skopeo and crane copy to registries. The same programs and the same release make
// the same bytes, wherever and whenever.
package archive

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/ingot-lb/ingot/deploy/image"
)

// Release is what images of one version have in common.
type Release struct {
	// Version is the tag.
	Version string
	// Revision is the commit, where it is known.
	Revision string
	// Created is the time of the commit: when the images are made must not change them.
	Created time.Time
}

// Source is where the code is, and Licenses what it may be used under, as an SPDX expression.
const (
	Source   = "https://github.com/ingot-lb/ingot"
	Licenses = "Apache-2.0"
	vendor   = "Ingot"
)

// tag is what a registry takes: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests.
var tag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// Validate says why there can be no such release.
func (r Release) Validate() error {
	if !tag.MatchString(r.Version) {
		return fmt.Errorf("the version %q is no tag of an image", r.Version)
	}
	if r.Created.IsZero() || r.Created.Before(time.Unix(0, 0)) || r.Created.Nanosecond() != 0 {
		return fmt.Errorf("the time of the release, %v, is not one of whole seconds since 1970", r.Created)
	}
	return nil
}

// labels of an image, by which people and scanners find out where it is from. They are the annotations of manifest and index, too.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
func (r Release) labels(i image.Image) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       i.Title,
		"org.opencontainers.image.description": i.Description,
		"org.opencontainers.image.version":     r.Version,
		"org.opencontainers.image.revision":    r.Revision,
		"org.opencontainers.image.created":     r.Created.UTC().Format(time.RFC3339),
		"org.opencontainers.image.source":      Source,
		"org.opencontainers.image.url":         Source,
		"org.opencontainers.image.licenses":    Licenses,
		"org.opencontainers.image.vendor":      vendor,
	}
	maps.Copy(labels, i.Labels)
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	return labels
}

// Platform is one of an image's: linux on an architecture of GOARCH's names.
type Platform struct {
	Architecture string
	// Program is the file with the static program for it; empty for an image that has none.
	Program string
}

// order sorts platforms, and refuses none or the same twice.
func order(platforms []Platform) ([]Platform, error) {
	sorted := slices.SortedFunc(slices.Values(platforms), func(a, b Platform) int {
		if a.Architecture < b.Architecture {
			return -1
		}
		return 1
	})
	for i, p := range sorted {
		if i > 0 && p.Architecture == sorted[i-1].Architecture {
			return nil, fmt.Errorf("linux/%s is there twice", p.Architecture)
		}
	}
	if len(sorted) == 0 {
		return nil, fmt.Errorf("an image for no platform")
	}
	return sorted, nil
}
