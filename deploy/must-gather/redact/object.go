package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object hides the secrets of a decoded JSON object of Kubernetes or of a list, in place, and remembers them. Of a Secret the names of keys and
// annotations stay.
func (r *Redactor) Object(object map[string]any) {
	kind, _ := object["kind"].(string)
	if items, ok := object["items"].([]any); ok && kind == "SecretList" {
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				r.secret(m)
			}
		}
	}
	if kind == "Secret" {
		r.secret(object)
	}
	r.fields(object)
}

// secret hides what a Secret holds.
func (r *Redactor) secret(object map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for key, v := range values {
			text, _ := v.(string)
			if field == "data" {
				if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
					text = string(decoded)
				}
			}
			if text != Marker && !identifies[key] {
				r.Learn(text)
			}
			values[key] = Marker
		}
	}
	meta, _ := object["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	for key, v := range annotations {
		if text, ok := v.(string); ok {
			r.embedded(text) // kubectl's last-applied-configuration has values of its own, maybe older ones
		}
		annotations[key] = Marker
	}
}

// identifies are keys of Secrets whose values name something. They are hidden where they stand, and nowhere else.
var identifies = map[string]bool{"username": true, "namespace": true, "type": true, "url": true, "server": true, "project": true}

// fields hides secrets below a map.
func (r *Redactor) fields(m map[string]any) {
	named, _ := m["name"].(string)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if Sensitive(key) || key == "value" && Sensitive(named) { // the latter is an environment variable
			if r.scalar(m, key) {
				continue
			}
		}
		m[key] = r.any(m[key])
	}
}

// scalar hides one secret value, which may be a number.
func (r *Redactor) scalar(m map[string]any, key string) bool {
	var text string
	switch v := m[key].(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		return false // a flag, or something with fields of its own
	}
	switch {
	case text == "", strings.HasPrefix(text, "/") && !strings.ContainsAny(text, "\n "): // a path is where a secret is
		return true
	case onlyCertificates(text):
		return true
	}
	r.Learn(text)
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && len(decoded) >= leastCore && printable(decoded) {
		r.Learn(string(decoded))
	}
	m[key] = Marker
	return true
}

func printable(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c == '\uFFFD' || c < ' ' && c != '\n' && c != '\r' && c != '\t' })
}

func (r *Redactor) any(v any) any {
	switch v := v.(type) {
	case map[string]any:
		r.fields(v)
	case []any:
		for i := range v {
			v[i] = r.any(v[i])
		}
	case string:
		if changed, ok := r.embedded(v); ok {
			v = changed
		}
		if key, err := base64.StdEncoding.DecodeString(v); err == nil && bytes.Contains(key, []byte("PRIVATE KEY-----")) {
			r.Learn(string(key))
			return Marker
		}
		return string(r.Text([]byte(v)))
	}
	return v
}

// embedded hides the secrets of an object that is written in a string. Of one in YAML it only learns them: its comments and order
// shall stay.
func (r *Redactor) embedded(text string) (changed string, ok bool) {
	trimmed := strings.TrimSpace(text)
	isJSON := strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")
	if !isJSON && !(strings.Contains(trimmed, ":") && strings.Contains(trimmed, "\n")) {
		return "", false
	}
	source := []byte(trimmed)
	if !isJSON {
		converted, err := yaml.YAMLToJSON(source)
		if err != nil {
			return "", false
		}
		source = converted
	}
	object, err := Decode(source)
	if err != nil {
		return "", false
	}
	before, err := json.Marshal(object)
	if err != nil {
		return "", false
	}
	switch o := object.(type) {
	case map[string]any:
		r.Object(o)
	case []any:
		r.any(o)
	default:
		return "", false
	}
	var after bytes.Buffer
	e := json.NewEncoder(&after)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil {
		return "", false
	}
	plain := bytes.TrimSpace(after.Bytes())
	if escapedToo, err := json.Marshal(object); !isJSON || err == nil && bytes.Equal(before, escapedToo) {
		return "", false
	}
	return string(plain), true
}

// Decode reads JSON and keeps numbers as they are written.
func Decode(source []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(source))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
