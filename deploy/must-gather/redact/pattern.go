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
	// hint are texts, in small letters, without one of which there is nothing to find.
	hint []string
	find *regexp.Regexp
	hide func([]byte) []byte
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
	named    = `(?i)[\w.-]*(?:password|passwd|passphrase|token|private[-_]?key|api[-_]?key|secret[-_]?key|client[-_]?secret)\\*["']?[ \t]*[:=][ \t]*`
	value    = `(?:"(?:[^"\\]|\\.)*"|\\+"[^"\\]*\\+"|'[^']*'|[^\s,{}\[\]"'\\|>][^\s,}\]"'\\]*)`
	neighbor = `(?im)^[ \t]*neighbor[ \t]+\S+[ \t]+password[ \t]+`
	flag     = `(?i)--?[a-z-]*(?:password|passwd|passphrase|token|secret)(?:=|[ \t]+)`
	bearer   = `(?i)\bbearer[ \t]+`
	userinfo = `[a-z][a-z0-9+.-]*://[^\s/:@"']*:`
)

var patterns = []pattern{
	{hint: []string{"private key"}, find: regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`),
		hide: func([]byte) []byte { return []byte(Marker) }},
	{hint: []string{"eyj"}, find: regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`),
		hide: func([]byte) []byte { return []byte(Marker) }},
	{hint: []string{"neighbor"}, find: regexp.MustCompile(neighbor + `\S+(?:[ \t]+\S+)?`), hide: keeping(neighbor)},
	{hint: []string{"pass", "token", "key", "secret"}, find: regexp.MustCompile(named + value), hide: keeping(named)},
	{hint: []string{"pass", "token", "secret"}, find: regexp.MustCompile(flag + `[^\s"',-][^\s"',]*`), hide: keeping(flag)},
	{hint: []string{"bearer"}, find: regexp.MustCompile(bearer + `[A-Za-z0-9._~+/-]{16,}=*`), hide: keeping(bearer)},
	{hint: []string{"://"}, find: regexp.MustCompile(userinfo + `[^\s/@"']+@`),
		hide: func(m []byte) []byte { return append(keeping(userinfo)(m), '@') }},
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
