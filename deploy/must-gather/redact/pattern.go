package redact

import (
	"bytes"
	"encoding/pem"
	"regexp"
	"slices"
	"strings"
)

// sensitive is a key whose value is a secret, in the ways in which configuration writes it: password, bgpPassword, BGP_PASSWORD,
// tls.key, client-secret. It is none of secretName, passwordSecret or token-file, which say where one is.
var sensitive = regexp.MustCompile(`(?i)(?:pass(?:word|wd|phrase)|token|private[-_.]?key|api[-_.]?key|access[-_.]?key|secret[-_.]?key|auth[-_.]?key|client[-_.]?secret|credentials?|authorization|\.key|\.pem|kubeconfig)$|^(?:pwd|secret|pass|bearer)$|[-_.](?:pwd|secret|pass|bearer)$`)

// Sensitive says whether a key's value is a secret.
func Sensitive(key string) bool { return sensitive.MatchString(key) }

// pattern is something that looks like a secret in a text.
type pattern struct {
	// hints are texts, in small letters, without one of which a line has nothing to find.
	hints []string
	find  *regexp.Regexp
	hide  func([]byte) []byte
}

// keeping hides all of a match but its beginning, which the expression matches by itself, and the quotes around the rest.
func keeping(beginning string) func([]byte) []byte {
	e := regexp.MustCompile(`^(?:` + beginning + `)`)
	return func(match []byte) []byte {
		kept := e.Find(match)
		rest := match[len(kept):]
		quote := quotes.Find(rest)
		if len(quote) > 0 && len(rest) >= 2*len(quote) && bytes.HasSuffix(rest, quote) {
			rest = rest[len(quote) : len(rest)-len(quote)]
		} else {
			quote = nil
		}
		if text := string(rest); text == "" || text == Marker || harmless[strings.ToLower(text)] {
			return match
		}
		return slices.Concat(kept, quote, []byte(Marker), quote)
	}
}

var quotes = regexp.MustCompile(`^\\*["']`)

const (
	named    = `(?i)(?:password|passwd|passphrase|token|private[-_]?key|api[-_]?key|secret[-_]?key|client[-_]?secret)\\*["']?[ \t]*[:=][ \t]*`
	value    = `(?:"(?:[^"\\]|\\.)*(?:"|$)|\\+"[^"\\]*\\+"|'[^']*'|[^\s,{}\[\]"'\\|>][^\s,}\]"'\\]*)`
	neighbor = `(?im)^[ \t]*neighbor[ \t]+\S+[ \t]+password[ \t]+`
	flag     = `(?i)--?[a-z-]*(?:password|passwd|passphrase|token|secret)(?:=|[ \t]+)`
	bearer   = `(?i)\bbearer[ \t]+`
	userinfo = `[a-z][a-z0-9+.-]*://[^\s/:@"']*:`
)

// patterns are looked for in lines.
var patterns = []pattern{
	{[]string{"eyj"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), func([]byte) []byte { return []byte(Marker) }},
	{[]string{"neighbor"}, regexp.MustCompile(neighbor + `\S+(?:[ \t]+\S+)?`), keeping(neighbor)},
	{[]string{"password", "passwd", "passphrase", "token", "private", "api", "secret"}, regexp.MustCompile(named + value), keeping(named)},
	{[]string{"-pass", "-token", "-secret"}, regexp.MustCompile(flag + `[^\s"',-][^\s"',]*`), keeping(flag)},
	{[]string{"bearer"}, regexp.MustCompile(bearer + `[A-Za-z0-9._~+/-]{16,}=*`), keeping(bearer)},
	{[]string{"://"}, regexp.MustCompile(userinfo + `[^\s/@"']+@`), func(m []byte) []byte { return append(keeping(userinfo)(m[:len(m)-1]), '@') }},
}

// privateKey is a key in PEM, or the beginning of one.
var privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)

// looksLike hides what looks like a secret.
func looksLike(text []byte) []byte {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		text = privateKey.ReplaceAll(text, []byte(Marker))
	}
	for _, p := range patterns {
		text = p.hideIn(text)
	}
	return text
}

// hideIn looks at the lines with a hint: logs are long, and expressions slow.
func (p pattern) hideIn(text []byte) []byte {
	lower := small(text)
	var out []byte
	kept := 0
	ahead := make([]int, len(p.hints)) // where each hint stands next
	for i, h := range p.hints {
		ahead[i] = find(lower, h, 0)
	}
	for at := 0; ; {
		next := len(text)
		for i, h := range p.hints {
			if ahead[i] < at {
				ahead[i] = find(lower, h, at)
			}
			next = min(next, ahead[i])
		}
		if next == len(text) {
			break
		}
		from, to := bytes.LastIndexByte(text[:next], '\n')+1, len(text)
		if i := bytes.IndexByte(text[next:], '\n'); i >= 0 {
			to = next + i
		}
		out = append(append(out, text[kept:from]...), p.find.ReplaceAllFunc(text[from:to], p.hide)...)
		kept, at = to, to
	}
	if out == nil {
		return text
	}
	return append(out, text[kept:]...)
}

// find is where a hint stands next, or the end.
func find(text []byte, hint string, from int) int {
	if i := bytes.Index(text[from:], []byte(hint)); i >= 0 {
		return from + i
	}
	return len(text)
}

// small is a text in small letters, byte by byte.
func small(text []byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// onlyCertificates says of a value that it is PEM without a key.
func onlyCertificates(value string) bool {
	rest := []byte(value)
	found := false
	for {
		var b *pem.Block
		b, rest = pem.Decode(rest)
		if b == nil {
			return found && len(bytes.TrimSpace(rest)) == 0
		}
		if b.Type != "CERTIFICATE" {
			return false
		}
		found = true
	}
}
