// Package sbom writes down what a Go program is made of, from what the linker left in it, as SPDX 2.3 in JSON.
package sbom

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// Subject is the program that the document is about.
type Subject struct {
	// Name of what it is shipped in, and File, where it is there: ingot/speaker, /speaker.
	Name, File string
	// Version of the release; Go knows none for what is not built as a dependency.
	Version string
	// Platform that it was built for: linux/arm64.
	Platform string
	// Source is the address of the project.
	Source string
	// SHA256 of the program, in hex.
	SHA256 string
	// Created is the time of the release.
	Created time.Time
	// Licenses of our own code, as an SPDX expression.
	Licenses string
}

// document and the types below are those of https://spdx.github.io/spdx-spec/v2.3/ that we have something to say in.
type document struct {
	SPDXVersion       string         `json:"spdxVersion"`
	DataLicense       string         `json:"dataLicense"`
	SPDXID            string         `json:"SPDXID"`
	Name              string         `json:"name"`
	DocumentNamespace string         `json:"documentNamespace"`
	CreationInfo      creation       `json:"creationInfo"`
	Packages          []pkg          `json:"packages"`
	Relationships     []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pkg struct {
	Name             string     `json:"name"`
	SPDXID           string     `json:"SPDXID"`
	VersionInfo      string     `json:"versionInfo"`
	FileName         string     `json:"packageFileName,omitempty"`
	DownloadLocation string     `json:"downloadLocation"`
	FilesAnalyzed    bool       `json:"filesAnalyzed"`
	Checksums        []checksum `json:"checksums,omitempty"`
	SourceInfo       string     `json:"sourceInfo,omitempty"`
	LicenseConcluded string     `json:"licenseConcluded"`
	LicenseDeclared  string     `json:"licenseDeclared"`
	Copyright        string     `json:"copyrightText"`
	Purpose          string     `json:"primaryPackagePurpose"`
	ExternalRefs     []external `json:"externalRefs"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type external struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	documentID  = "SPDXRef-DOCUMENT"
	programID   = "SPDXRef-Program"
	noAssertion = "NOASSERTION"
)

// SPDX returns the document: the program, the standard library and every module that is in it, by version and by the sum that Go
// compared what it downloaded with. The same program gives the same bytes.
func SPDX(info *buildinfo.BuildInfo, s Subject) ([]byte, error) {
	program := entry(programID, info.Main.Path, s.Version, "APPLICATION")
	program.Name, program.FileName, program.LicenseDeclared = s.Name, s.File, s.Licenses
	program.DownloadLocation = "git+" + s.Source
	program.Checksums = []checksum{{Algorithm: "SHA256", Value: s.SHA256}}
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentID,
		Name:              fmt.Sprintf("%s %s %s", s.Name, s.Version, s.Platform),
		DocumentNamespace: fmt.Sprintf("%s/spdx/%s/%s/%s/%s", s.Source, s.Name, url.PathEscape(s.Version), s.Platform, s.SHA256),
		CreationInfo:      creation{Created: s.Created.UTC().Format(time.RFC3339), Creators: []string{"Organization: Ingot", "Tool: make images"}},
		Packages:          []pkg{program, standardLibrary(info)},
		Relationships:     []relationship{{documentID, "DESCRIBES", programID}},
	}
	for _, m := range info.Deps {
		d.Packages = append(d.Packages, module(m))
	}
	seen := map[string]bool{}
	for _, p := range d.Packages {
		if seen[p.SPDXID] {
			return nil, fmt.Errorf("sbom of %s: two packages %s", s.Name, p.SPDXID)
		}
		seen[p.SPDXID] = true
		if p.SPDXID != programID {
			d.Relationships = append(d.Relationships, relationship{programID, "DEPENDS_ON", p.SPDXID})
		}
	}
	content, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("sbom of %s: %w", s.Name, err)
	}
	return append(content, '\n'), nil
}

// standardLibrary is the compiler's version: what is linked from it is not a module.
func standardLibrary(info *buildinfo.BuildInfo) pkg {
	version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ") // experiments follow
	return entry("SPDXRef-Go-stdlib", "stdlib", version, "LIBRARY")
}

func module(m *debug.Module) pkg {
	required := m.Path
	if m.Replace != nil {
		m = m.Replace
	}
	p := entry("SPDXRef-Go-"+identifier(required), m.Path, m.Version, "LIBRARY")
	if m.Sum != "" {
		p.SourceInfo = "go.sum " + m.Sum
	}
	return p
}

func entry(id, path, version, purpose string) pkg {
	return pkg{
		Name: path, SPDXID: id, VersionInfo: version, DownloadLocation: noAssertion,
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, Copyright: noAssertion, Purpose: purpose,
		ExternalRefs: []external{{"PACKAGE-MANAGER", "purl", packageURL(path, version)}},
	}
}

// packageURL as in https://github.com/package-url/purl-spec, whose type golang has paths in lower case.
func packageURL(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
}

var notIdentifier = regexp.MustCompile(`[^A-Za-z0-9.]`)

// identifier spells a module's path in the letters that an SPDX identifier may have, each path in its own way.
func identifier(path string) string {
	return notIdentifier.ReplaceAllStringFunc(path, func(s string) string {
		if s == "/" {
			return "-"
		}
		return fmt.Sprintf("-%x-", s)
	})
}
