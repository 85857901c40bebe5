package collect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// moment is something that happened.
type moment struct {
	at   time.Time
	what string
}

// remember takes from objects what they say of the past: when they were made and who wrote them since, what their conditions and
// decisions are since when and why, and events.
func (g *Gatherer) remember(kind string, items []map[string]any) {
	var found []moment
	for _, item := range items {
		of := kind + " " + strings.TrimPrefix(field(item, "metadata", "namespace")+"/"+field(item, "metadata", "name"), "/")
		add := func(at, format string, args ...any) {
			if t, err := time.Parse(time.RFC3339, at); err == nil {
				found = append(found, moment{t.UTC(), of + ": " + fmt.Sprintf(format, args...)})
			}
		}
		if kind == "Event" {
			of = strings.Join([]string{field(item, "involvedObject", "kind"), strings.TrimPrefix(field(item, "involvedObject", "namespace")+"/"+field(item, "involvedObject", "name"), "/")}, " ")
			at := field(item, "lastTimestamp")
			for _, other := range []string{field(item, "eventTime"), field(item, "metadata", "creationTimestamp")} {
				if at == "" {
					at = other
				}
			}
			add(at, "event %s %s by %s: %s", field(item, "type"), field(item, "reason"), field(item, "source", "component")+field(item, "reportingComponent"), field(item, "message"))
			continue
		}
		add(field(item, "metadata", "creationTimestamp"), "created")
		add(field(item, "metadata", "deletionTimestamp"), "deletion asked for")
		meta, _ := item["metadata"].(map[string]any)
		managers, _ := meta["managedFields"].([]any)
		for _, one := range managers {
			m, _ := one.(map[string]any)
			sub := field(m, "subresource")
			if sub != "" {
				sub = " of " + sub
			}
			add(field(m, "time"), "last %s%s by %q", field(m, "operation"), sub, field(m, "manager"))
		}
		since(item["status"], "status", add)
		if kind == "Lease" {
			add(field(item, "spec", "acquireTime"), "held by %s", field(item, "spec", "holderIdentity"))
			add(field(item, "spec", "renewTime"), "renewed by %s", field(item, "spec", "holderIdentity"))
		}
	}
	g.mu.Lock()
	g.history = append(g.history, found...)
	g.mu.Unlock()
}

// since looks below a status for whatever has a time since which it holds.
func since(v any, at string, add func(at, format string, args ...any)) {
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			since(one, fmt.Sprintf("%s[%d]", at, i), add)
		}
	case map[string]any:
		if t := field(v, "lastTransitionTime"); t != "" {
			add(t, "condition %s=%s %s: %s", field(v, "type"), field(v, "status"), field(v, "reason"), field(v, "message"))
		}
		for key, text := range v {
			if t, ok := text.(string); ok && (strings.EqualFold(key, "since") || strings.HasSuffix(key, "Since")) {
				add(t, "%s.%s %s", at, key, told(v))
			}
			since(text, at+"."+key, add)
		}
	}
}

// told is what stands beside a time and says what holds since then.
func told(v map[string]any) string {
	var words []string
	for _, key := range []string{"state", "phase", "bgpStatus", "bfdStatus", "bfdState", "result", "up", "answer", "node", "owner", "previousNode", "peer", "interface", "address", "reason", "message", "lastError"} {
		switch value := v[key].(type) {
		case string, bool, json.Number:
			if text := fmt.Sprint(value); text != "" {
				words = append(words, key+"="+text)
			}
		}
	}
	return strings.Join(words, " ")
}

// timeline is the history, in order. What versions of a kind have in common is said once.
func (g *Gatherer) timeline() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.history, func(a, b moment) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.what, b.what)
	})
	var b strings.Builder
	for _, m := range slices.Compact(g.history) {
		fmt.Fprintf(&b, "%s  %s\n", m.at.Format("2006-01-02T15:04:05.000Z"), strings.Join(strings.Fields(m.what), " "))
	}
	return []byte(b.String())
}
