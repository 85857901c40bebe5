package archive

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/deploy/image/sbom"
)

// machines are the architectures that an image may be for, as the ELF header of a program names them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// program is what goes into an image of one platform.
type program struct {
	content []byte
	// bill is the SBOM.
	bill []byte
}

// read returns the program of a platform and what it is made of. A program that would not run in an image that has nothing else, or
// is for another architecture, is refused.
func read(i image.Image, r Release, p Platform) (program, error) {
	if file(i) == "" && p.Program == "" {
		return program{}, nil
	}
	content, err := os.ReadFile(p.Program)
	if err != nil {
		return program{}, fmt.Errorf("program of %s: %w", i.Name, err)
	}
	if err := runsAlone(content, p.Architecture); err != nil {
		return program{}, fmt.Errorf("%s cannot be the program of %s for linux/%s: %w", p.Program, i.Name, p.Architecture, err)
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return program{}, fmt.Errorf("what %s is made of: %w", p.Program, err)
	}
	sum := sha256.Sum256(content)
	bill, err := sbom.SPDX(info, sbom.Subject{
		Name: i.Name, File: file(i), Version: r.Version, Platform: "linux/" + p.Architecture, Source: Source,
		SHA256: hex.EncodeToString(sum[:]), Created: r.Created, Licenses: Licenses,
	})
	return program{content: content, bill: bill}, err
}

// runsAlone says why a program does not run by itself on an architecture.
func runsAlone(content []byte, architecture string) error {
	machine, known := machines[architecture]
	if !known {
		return fmt.Errorf("no images are made for %q", architecture)
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Machine != machine {
		return fmt.Errorf("it is for %v", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("it is not static (has %v): build it with CGO_ENABLED=0", p.Type)
		}
	}
	return nil
}

// file is where the image has its program.
func file(i image.Image) string {
	for _, f := range i.Files {
		if f.Program {
			return "/" + f.Path
		}
	}
	return ""
}
