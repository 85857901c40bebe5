package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
	"github.com/ingot-lb/ingot/deploy/must-gather/redact"
)

// page is how many objects are asked for at once.
const page = "500"

// place is a list of objects and where it goes.
type place struct {
	path, url string
	// selector is a query, such as fieldSelector=….
	selector string
	// only, if not nil, says which items are wanted.
	only func(item map[string]any) bool
	// each, if not nil, is done to each item that is kept.
	each func(item map[string]any)
}

// list collects a list: it is asked for as it is served, with managedFields, and without discovery, which hangs where an aggregated
// API does.
func (g *Gatherer) list(ctx context.Context, p place) []map[string]any {
	whole, a := g.pages(ctx, p)
	if a.entry.Error != "" {
		g.tree.Note(a.entry)
		return nil
	}
	var items []map[string]any
	kept := []any{}
	all, _ := whole["items"].([]any)
	for _, item := range all {
		m, ok := item.(map[string]any)
		if !ok || p.only != nil && !p.only(m) {
			continue
		}
		if p.each != nil {
			p.each(m)
		}
		items, kept = append(items, m), append(kept, m)
	}
	whole["items"] = kept
	g.secret.Object(whole)
	kind, _ := whole["kind"].(string)
	g.remember(strings.TrimSuffix(kind, "List"), items)
	a.entry.Path = p.path
	if p.only == nil {
		a.entry.Note = fmt.Sprintf("%d objects", len(items))
	} else {
		a.entry.Note = fmt.Sprintf("%d objects of %d", len(items), len(all))
	}
	text, err := encode(whole)
	if err != nil {
		a.entry.Path, a.entry.Error = "", err.Error()
		g.tree.Note(a.entry)
		return items
	}
	g.keep(a.entry, text, true)
	return items
}

// pages asks for a list until its last page. The entry is that of all.
func (g *Gatherer) pages(ctx context.Context, p place) (whole map[string]any, sum answer) {
	started := time.Now()
	for next := ""; ; {
		query := url.Values{"limit": {page}}
		if next != "" {
			query.Set("continue", next)
		}
		asked := p.url + "?" + query.Encode()
		if p.selector != "" {
			asked += "&" + p.selector
		}
		a := g.run(ctx, objectBytes, false, g.kubectl("get", "--raw", asked)...)
		a.entry.Started, a.entry.Seconds = started, time.Since(started).Seconds()
		if a.entry.Error != "" {
			return nil, a
		}
		decoded, err := redact.Decode(a.out)
		answered, ok := decoded.(map[string]any)
		if err != nil || !ok {
			a.entry.Error = fmt.Sprintf("the answer is not an object: %v", err)
			return nil, a
		}
		meta, _ := answered["metadata"].(map[string]any)
		if whole == nil {
			whole = answered
		} else {
			before, _ := whole["items"].([]any)
			more, _ := answered["items"].([]any)
			whole["items"] = append(before, more...)
		}
		if next, _ = meta["continue"].(string); next == "" {
			if first, ok := whole["metadata"].(map[string]any); ok {
				delete(first, "continue")
				delete(first, "remainingItemCount")
			}
			return whole, a
		}
	}
}

func encode(object any) ([]byte, error) {
	source, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(source)
}

// field reads a string below nested maps.
func field(object map[string]any, names ...string) string {
	for i, n := range names {
		if i == len(names)-1 {
			s, _ := object[n].(string)
			return s
		}
		object, _ = object[n].(map[string]any)
	}
	return ""
}

// namespaceOf is where the group's APIService points.
func namespaceOf(apiServices []map[string]any) string {
	for _, a := range apiServices {
		if ns := field(a, "spec", "service", "namespace"); ns != "" && field(a, "spec", "group") == "metallb.io" {
			return ns
		}
	}
	return "metallb-system"
}

// group collects every kind of the group in every version that is served.
func (g *Gatherer) group(ctx context.Context) {
	for _, group := range []string{"metallb.io"} {
		var versions struct {
			Versions []struct{ GroupVersion, Version string }
		}
		if !g.discover(ctx, "/apis/"+group, path.Join(group, "versions.yaml"), &versions) {
			continue
		}
		for _, v := range versions.Versions {
			var resources struct {
				Resources []struct {
					Name  string
					Verbs []string
				}
			}
			dir := path.Join(group, archive.Name(v.Version))
			if !g.discover(ctx, "/apis/"+v.GroupVersion, path.Join(dir, "resources.yaml"), &resources) {
				continue
			}
			var lists []func()
			for _, r := range resources.Resources {
				if strings.Contains(r.Name, "/") || !contains(r.Verbs, "list") {
					continue
				}
				lists = append(lists, func() {
					g.list(ctx, place{path: path.Join(dir, archive.Name(r.Name)+".yaml"), url: "/apis/" + v.GroupVersion + "/" + r.Name})
				})
			}
			g.parallel(lists...)
		}
	}
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// discover reads what is served at a URL, and keeps it.
func (g *Gatherer) discover(ctx context.Context, from, to string, into any) bool {
	a := g.run(ctx, tableBytes, false, g.kubectl("get", "--raw", from)...)
	if a.entry.Error == "" {
		if err := json.Unmarshal(a.out, into); err != nil {
			a.entry.Error = err.Error()
		}
	}
	if a.entry.Error != "" {
		g.tree.Note(a.entry)
		return false
	}
	text, err := yaml.JSONToYAML(a.out)
	if err != nil {
		text = a.out
	}
	a.entry.Path = to
	g.keep(a.entry, text, true)
	return true
}
