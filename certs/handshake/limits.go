// Package handshake says what TLS servers agree to: the flags --tls-min-version, --tls-cipher-suites and
// --tls-curve-preferences, with the values that Kubernetes' own programs take. It knows nothing of Kubernetes, so that speakers can
// use it.
package handshake

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits are what flags say. The zero value leaves everything to each server.
type Limits struct {
	min    uint16
	suites []uint16
	curves []tls.CurveID
}

// Value is a flag's, for package flag and for pflag.
type Value interface {
	flag.Value
	Type() string
}

// Names of the flags.
const (
	MinVersionFlag   = "tls-min-version"
	CipherSuitesFlag = "tls-cipher-suites"
	CurvesFlag       = "tls-curve-preferences"
)

// AddFlags calls add for each flag. A value that is not understood is refused when it is set.
func (l *Limits) AddFlags(add func(v Value, name, usage string)) {
	add(version{&l.min}, MinVersionFlag, "oldest `version` of TLS to serve, VersionTLS12 or VersionTLS13; empty: VersionTLS12, but VersionTLS13 between our own programs")
	add(suites{&l.suites}, CipherSuitesFlag, "cipher `suites` of TLS 1.2 to serve, comma-separated, by the names of RFC 5289; TLS 1.3 has its own. Empty: Go's")
	add(curves{&l.curves}, CurvesFlag, "key exchanges to serve, comma-separated `numbers` of the IANA registry of TLS supported groups. Empty: Go's")
}

// Validate says what does not go together.
func (l *Limits) Validate() error {
	if l.suites == nil {
		return nil
	}
	if l.min >= tls.VersionTLS13 {
		return fmt.Errorf("--%s has no effect with --%s=%s: TLS 1.3 has suites of its own", CipherSuitesFlag, MinVersionFlag, versionName(l.min))
	}
	// RFC 7540 section 9.2.2; the Go servers refuse to start without one of them.
	if !slices.Contains(l.suites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) && !slices.Contains(l.suites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) {
		return fmt.Errorf("--%s=%s: HTTP/2 needs TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 besides",
			CipherSuitesFlag, suites{&l.suites})
	}
	return nil
}

// Apply narrows what a server would do by itself: MinVersion is only ever raised.
func (l *Limits) Apply(c *tls.Config) *tls.Config {
	c.MinVersion = max(c.MinVersion, l.min)
	if l.suites != nil {
		c.CipherSuites = slices.Clone(l.suites)
	}
	if l.curves != nil {
		c.CurvePreferences = slices.Clone(l.curves)
	}
	return c
}

// Serving is the same for servers that are told in names, as the library of the Kubernetes API servers is.
func (l *Limits) Serving(least uint16) (minVersion string, cipherSuites []string, curvePreferences []int32) {
	for _, s := range l.suites {
		cipherSuites = append(cipherSuites, tls.CipherSuiteName(s))
	}
	for _, c := range l.curves {
		curvePreferences = append(curvePreferences, int32(c))
	}
	return versionName(max(l.min, least)), cipherSuites, curvePreferences
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "VersionTLS12"
	case tls.VersionTLS13:
		return "VersionTLS13"
	}
	return ""
}

type version struct{ v *uint16 }

func (v version) Type() string { return "version" }

func (v version) String() string {
	if v.v == nil { // package flag makes a zero value to compare defaults with
		return ""
	}
	return versionName(*v.v)
}

func (v version) Set(s string) error {
	switch s {
	case "":
		*v.v = 0
	case "VersionTLS12":
		*v.v = tls.VersionTLS12
	case "VersionTLS13":
		*v.v = tls.VersionTLS13
	case "VersionTLS10", "VersionTLS11":
		return fmt.Errorf("%q is not safe any more (RFC 8996): VersionTLS12 or VersionTLS13", s)
	default:
		return fmt.Errorf("%q is no version of TLS: VersionTLS12 or VersionTLS13", s)
	}
	return nil
}

type suites struct{ v *[]uint16 }

func (v suites) Type() string { return "suites" }

func (v suites) String() string {
	if v.v == nil {
		return ""
	}
	var names []string
	for _, s := range *v.v {
		names = append(names, tls.CipherSuiteName(s))
	}
	return strings.Join(names, ",")
}

func (v suites) Set(s string) error {
	var chosen []uint16
	var errs []error
	for name := range fields(s) {
		id, err := suite(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.Contains(chosen, id) {
			chosen = append(chosen, id)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*v.v = chosen
	return nil
}

// suite is the number of a suite of TLS 1.2 that Go holds safe.
func suite(name string) (uint16, error) {
	named := func(c *tls.CipherSuite) bool { return c.Name == name }
	if slices.ContainsFunc(tls.InsecureCipherSuites(), named) {
		return 0, fmt.Errorf("%q is not safe", name)
	}
	var all []string
	for _, c := range tls.CipherSuites() {
		if !slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
			if named(c) {
				return 0, fmt.Errorf("%q is of TLS 1.3, where nothing can be chosen", name)
			}
			continue
		}
		if named(c) {
			return c.ID, nil
		}
		all = append(all, c.Name)
	}
	return 0, fmt.Errorf("%q is no cipher suite of TLS 1.2: there are %s", name, strings.Join(all, ", "))
}

type curves struct{ v *[]tls.CurveID }

func (v curves) Type() string { return "numbers" }

func (v curves) String() string {
	if v.v == nil {
		return ""
	}
	var ids []string
	for _, c := range *v.v {
		ids = append(ids, strconv.Itoa(int(c)))
	}
	return strings.Join(ids, ",")
}

func (v curves) Set(s string) error {
	var chosen []tls.CurveID
	var errs []error
	for field := range fields(s) {
		n, err := strconv.ParseUint(field, 10, 16)
		id := tls.CurveID(n)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%q is not a number of a key exchange, such as 29 for X25519", field))
		case strings.HasPrefix(id.String(), "CurveID("):
			errs = append(errs, fmt.Errorf("%d is no key exchange that this program knows; 23, 24, 25 are P-256, P-384 and P-521, 29 is X25519, 4588 X25519MLKEM768", n))
		case !slices.Contains(chosen, id):
			chosen = append(chosen, id)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*v.v = chosen
	return nil
}

// fields are what commas separate.
func fields(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for field := range strings.SplitSeq(s, ",") {
			if field = strings.TrimSpace(field); field != "" && !yield(field) {
				return
			}
		}
	}
}
