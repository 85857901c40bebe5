package install

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pods are the workloads of a rendering.
func pods(all []manifest) []manifest {
	return slices.DeleteFunc(slices.Clone(all), func(o manifest) bool { return o.at("spec", "template", "spec", "containers") == nil })
}

// list is the list at a path; elements that are no objects are left out.
func (m manifest) list(path ...string) (out []manifest) {
	elements, _ := m.at(path...).([]any)
	for _, e := range elements {
		if o, ok := e.(map[string]any); ok {
			out = append(out, o)
		}
	}
	return out
}

// TestPartsBelongTogether follows names and selectors from object to object.
func TestPartsBelongTogether(t *testing.T) {
	for _, r := range ways() {
		all := objects(t, r.render(t))
		has := map[string]bool{}
		for _, o := range all {
			if has[o.String()+o.text("metadata", "namespace")] {
				t.Errorf("%s: %s is there twice", r.name, o)
			}
			has[o.String()+o.text("metadata", "namespace")] = true
			if o.text("metadata", "labels", "app") != "metallb" {
				t.Errorf("%s: %s has no label app=metallb", r.name, o)
			}
		}
		covered := map[string][]string{} // component to kinds that select it
		ports := map[string]bool{}
		for _, o := range pods(all) {
			labels := manifest{"labels": o.at("spec", "template", "metadata", "labels")}
			component := labels.text("labels", "component")
			if component == "" || labels.text("labels", "app.kubernetes.io/component") != component || labels.text("labels", "app") != "metallb" || o.text("metadata", "labels", "component") != component {
				t.Errorf("%s: labels of %s: %v", r.name, o, labels)
			}
			covered[component] = nil
			for _, container := range o.list("spec", "template", "spec", "containers") {
				for _, p := range container.list("ports") {
					ports[component+"/"+p.text("name")] = true
					ports[component+"/"+fmt.Sprint(p.at("containerPort"))] = true
				}
			}
			if account := o.text("spec", "template", "spec", "serviceAccountName"); !has["ServiceAccount "+account+system] {
				t.Errorf("%s: %s runs as %q, which is not there", r.name, o, account)
			}
		}
		for _, o := range all {
			component := ""
			switch o.kind() {
			case "Service":
				component = o.text("spec", "selector", "component")
				for _, p := range o.list("spec", "ports") {
					if !ports[component+"/"+fmt.Sprint(p.at("targetPort"))] {
						t.Errorf("%s: %s leads to port %v, which no container of %s has", r.name, o, p.at("targetPort"), component)
					}
				}
			case "NetworkPolicy":
				component = o.text("spec", "podSelector", "matchLabels", "component")
				for _, rule := range o.list("spec", "ingress") {
					for _, p := range rule.list("ports") {
						if !ports[component+"/"+fmt.Sprint(p.at("port"))] {
							t.Errorf("%s: %s lets in to port %v, which no container of %s has", r.name, o, p.at("port"), component)
						}
					}
				}
			case "PodDisruptionBudget":
				component = o.text("spec", "selector", "matchLabels", "component")
			default:
				continue
			}
			if _, ok := covered[component]; !ok && component != "" {
				t.Errorf("%s: %s selects %q, of which there is nothing", r.name, o, component)
			}
			covered[component] = append(covered[component], o.kind())
		}
		for _, o := range pods(all) {
			component := o.text("metadata", "labels", "component")
			for _, kind := range []string{"NetworkPolicy", "PodDisruptionBudget"} {
				if component != "speaker" && !slices.Contains(covered[component], kind) {
					t.Errorf("%s: no %s for %s", r.name, kind, component)
				}
			}
		}
	}
}

// TestArgumentsAreKnown has each program read the arguments of its containers, and then tell of its flags instead of running.
func TestArgumentsAreKnown(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range ways() {
		for _, o := range pods(objects(t, r.render(t))) {
			for _, container := range o.list("spec", "template", "spec", "containers") {
				image := container.text("image")
				name, _, _ := strings.Cut(filepath.Base(image), ":")
				arguments, _ := container.at("args").([]any)
				var args []string
				for _, a := range arguments {
					args = append(args, fmt.Sprint(a))
				}
				line := name + " " + strings.Join(args, " ")
				if seen[line] {
					continue
				}
				seen[line] = true
				if _, err := run("", program(name), append(args, "--help")...); err != nil {
					t.Errorf("%s: %s: %v", r.name, container.text("name"), err)
				}
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("only %d different lines of arguments: %v", len(seen), seen)
	}
}

// TestEveryDirectoryIsRendered has no overlay or component that no test knows.
func TestEveryDirectoryIsRendered(t *testing.T) {
	known := map[string]bool{}
	for _, r := range renderings {
		known[r.resource] = true
		for _, c := range r.components {
			known[c] = true
		}
	}
	found, err := filepath.Glob("../../deploy/*/kustomization.yaml")
	if err != nil || len(found) < 8 {
		t.Fatal(found, err)
	}
	for _, path := range found {
		if dir := filepath.Base(filepath.Dir(path)); !known[dir] {
			t.Errorf("deploy/%s is in no rendering", dir)
		}
	}
}
