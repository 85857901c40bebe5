package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// leastLearned is the length in bytes from which on a value is looked for in other places.
	leastLearned = 3
	// leastLine is the length from which on one line of a value of several is a secret by itself, as in a key.
	leastLine = 16
	// leastCore is the length of a piece of base64 that is told from chance.
	leastCore = 8
	// longestWord is the length up to which a value that could be a word or a number is one.
	longestWord = 12
)

// parts are the texts to look for of one secret: itself, and its lines, which are written indented in YAML.
func parts(value string) []string {
	if onlyCertificates(value) {
		return nil
	}
	var out []string
	trimmed := strings.TrimSpace(value)
	candidates := []string{trimmed}
	if value != trimmed { // the space around it is not hidden where it stands, but may be a part of what is encoded
		candidates = append(candidates, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	for _, v := range candidates {
		if len(v) >= leastLearned && !strings.Contains(v, Marker) && !strings.Contains(Marker, v) && !harmless[strings.ToLower(v)] {
			out = append(out, v)
		}
	}
	if lines := strings.Split(trimmed, "\n"); len(lines) > 1 {
		certificate := false
		for _, l := range lines {
			l = strings.TrimSpace(l)
			switch {
			case strings.HasPrefix(l, "-----BEGIN"):
				certificate = strings.Contains(l, "CERTIFICATE")
			case strings.HasPrefix(l, "-----END"):
				certificate = false
			case len(l) >= leastLine && !certificate:
				out = append(out, l)
			}
		}
	}
	return out
}

// harmless is what stands in places for secrets and is none.
var harmless = map[string]bool{"true": true, "false": true, "none": true, "null": true, "nil": true, "<retracted>": true, "opaque": true}

// encodings are the ways in which a value may be written, itself first.
func encodings(value string) []string {
	raw := []byte(value)
	forms := []string{value}
	for _, escapeHTML := range []bool{false, true} {
		once := escaped(value, escapeHTML)
		forms = append(forms, once, escaped(once, escapeHTML))
	}
	quoted := strconv.Quote(value)
	forms = append(forms, quoted[1:len(quoted)-1], strings.ReplaceAll(value, "'", "''"), url.QueryEscape(value), url.PathEscape(value))
	for _, end := range []string{"", "\n"} {
		whole := []byte(value + end)
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			once := e.EncodeToString(whole)
			forms = append(forms, once, e.EncodeToString([]byte(once)))
		}
	}
	forms = append(forms, cores(raw)...)
	// The value as a piece of something that was encoded twice, as in a Secret that holds a Secret.
	for _, c := range cores(raw) {
		forms = append(forms, cores([]byte(c))...)
	}
	if len(raw) >= 4 {
		forms = append(forms, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)))
	}
	slices.Sort(forms)
	return slices.DeleteFunc(slices.Compact(forms), func(f string) bool { return len(f) < leastLearned })
}

// cores are the pieces of base64 that are the same whatever is encoded before and after the value.
func cores(value []byte) []string {
	var out []string
	for before := range 3 {
		padded := append(make([]byte, before), value...)
		whole := len(padded) / 3 * 3
		from := (before + 2) / 3 * 4 // the first group has bits of what is before
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(padded[:whole])
			if len(text) >= from+leastCore {
				out = append(out, text[from:])
			}
		}
	}
	return out
}

// escaped is a text as it stands in JSON between the quotes.
func escaped(text string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if err := e.Encode(text); err != nil {
		return text // strings are always encoded
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\n"), `"`)
}
