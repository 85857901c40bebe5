// Package community reads BGP communities as advertisements write them: "65000:1" (RFC 1997), "large:65000:1:2"
// (RFC 8092), or the name of an alias.
package community

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Value is one of the two kinds; IsLarge says which.
type Value struct {
	IsLarge  bool
	Standard uint32 // RFC 1997
	Large    Large
}

// MaxBytes is how much room a route has for its communities: a BGP message has 4096 bytes (RFC 4271 section 4.1), and no
// second one can take what is left. The rest is enough for all that a route of ours says besides.
const MaxBytes = 3800

// Sizes of communities in a message, in bytes.
const (
	StandardBytes = 4
	LargeBytes    = 12
)

// Large is a value of RFC 8092.
type Large struct{ Global, Local1, Local2 uint32 }

// IsAlias tells the name of an alias from what is meant as a value.
func IsAlias(s string) bool { return s != "" && !strings.Contains(s, ":") }

// Parse reads "u16:u16" or "large:u32:u32:u32". Its errors have MetalLB's words.
func Parse(s string) (Value, error) {
	if s == "" {
		return Value{}, errors.New("invalid community format: empty")
	}
	switch parts := strings.Split(s, ":"); len(parts) {
	case 2:
		var v [2]uint32
		err := sections(v[:], parts, 16)
		return Value{Standard: v[0]<<16 | v[1]}, err
	case 4:
		if parts[0] != "large" {
			return Value{}, fmt.Errorf("invalid community value: invalid marker %q: expected community to be of format large:<uint32>:<uint32>:<uint32>", parts[0])
		}
		var v [3]uint32
		if err := sections(v[:], parts[1:], 32); err != nil {
			return Value{}, err
		}
		return Value{IsLarge: true, Large: Large{v[0], v[1], v[2]}}, nil
	}
	return Value{}, errors.New("invalid community format: must be <uint16>:<uint16>, large:<uint32>:<uint32>:<uint32>, or the name of an alias")
}

// sections reads numbers of so many bits into v; on error v is all zero.
func sections(v []uint32, texts []string, bits int) error {
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			clear(v)
			return fmt.Errorf("invalid community value: invalid section %q: must be 0 to %d", text, uint64(1)<<bits-1)
		}
		v[i] = uint32(n)
	}
	return nil
}

// String writes what Parse reads.
func (v Value) String() string {
	if v.IsLarge {
		return fmt.Sprintf("large:%d:%d:%d", v.Large.Global, v.Large.Local1, v.Large.Local2)
	}
	return fmt.Sprintf("%d:%d", v.Standard>>16, v.Standard&0xffff)
}
