package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
)

// pod is what matters of a Pod of the system namespace.
type pod struct {
	name, node, component string
	containers            []container
	port                  string // of metrics and health
	tls                   bool   // it is served over TLS (--metrics-tls), which probes tell
}

type container struct {
	name string
	// restarted: it has a previous log.
	restarted bool
}

func podOf(object map[string]any) pod {
	p := pod{name: field(object, "metadata", "name"), node: field(object, "spec", "nodeName"), port: "7472",
		component: field(object, "metadata", "labels", "app.kubernetes.io/component")}
	if p.component == "" {
		p.component = field(object, "metadata", "labels", "component")
	}
	restarted := map[string]bool{}
	status, _ := object["status"].(map[string]any)
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		all, _ := status[list].([]any)
		for _, one := range all {
			s, _ := one.(map[string]any)
			count, _ := s["restartCount"].(json.Number)
			last, _ := s["lastState"].(map[string]any)
			restarted[field(s, "name")] = count != "" && count != "0" || len(last) > 0
		}
	}
	spec, _ := object["spec"].(map[string]any)
	for _, list := range []string{"initContainers", "containers"} {
		all, _ := spec[list].([]any)
		for _, one := range all {
			c, _ := one.(map[string]any)
			name := field(c, "name")
			p.tls = p.tls || field(c, "readinessProbe", "httpGet", "scheme") == "HTTPS"
			p.containers = append(p.containers, container{name, restarted[name]})
			ports, _ := c["ports"].([]any)
			for _, port := range ports {
				m, _ := port.(map[string]any)
				if n, ok := m["containerPort"].(json.Number); ok && field(m, "name") == "monitoring" {
					p.port = n.String()
				}
			}
		}
	}
	return p
}

func (p pod) has(name string) bool {
	for _, c := range p.containers {
		if c.name == name {
			return true
		}
	}
	return false
}

// pod collects the logs and metrics of a Pod, and what a speaker says.
func (g *Gatherer) pod(ctx context.Context, p pod) {
	dir := g.inSystem(path.Join("pods", archive.Name(p.name)))
	for _, c := range p.containers {
		which := []string{"current"}
		if c.restarted {
			which = append(which, "previous")
		}
		for _, w := range which {
			g.text(path.Join(dir, archive.Name(c.name), "logs", w+".log"), g.run(ctx, g.opts.LogBytes, true, g.logs(p, c.name, w)...))
		}
	}
	g.monitoring(ctx, p, dir)
	if p.component == "speaker" {
		g.speaker(ctx, p)
	}
}

// monitoring collects what a Pod serves on its port for metrics and health.
func (g *Gatherer) monitoring(ctx context.Context, p pod, dir string) {
	scheme := ""
	if p.tls {
		scheme = "https:"
	}
	for _, page := range []string{"metrics", "healthz", "readyz"} {
		url := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s%s:%s/proxy/%s", g.opts.Namespace, scheme, p.name, p.port, page)
		a := g.run(ctx, tableBytes, false, g.kubectl("get", "--raw", url)...)
		if p.tls && page == "metrics" && a.entry.Error != "" && !a.late {
			a.entry.Error += "; " + wantsToken
		}
		g.text(path.Join(dir, page+".txt"), a)
		if a.late {
			return
		}
	}
}

// wantsToken is why metrics behind TLS are mostly refused.
const wantsToken = "metrics over TLS are for who shows a token, and the kube-apiserver passes none on: docs/certificates.md says how to read them by hand"

// logs is the command that prints a container's log.
func (g *Gatherer) logs(p pod, container, which string) []string {
	if g.opts.Via != "" {
		return []string{g.opts.Via, "logs", g.opts.Namespace, p.name, container, which}
	}
	// Twice what is kept, in lines of a usual length, bounds what is read.
	argv := g.kubectl("logs", "-n", g.opts.Namespace, p.name, "-c", container, "--timestamps", fmt.Sprintf("--tail=%d", g.opts.LogBytes/64))
	if which == "previous" {
		argv = append(argv, "--previous")
	}
	if g.opts.Since != "" {
		argv = append(argv, g.opts.Since)
	}
	return argv
}

// exec is the command that runs another one in a container.
func (g *Gatherer) exec(p pod, container string, command ...string) []string {
	if g.opts.Via != "" {
		return append([]string{g.opts.Via, "exec", g.opts.Namespace, p.name, container}, command...)
	}
	return append(g.kubectl("exec", "-n", g.opts.Namespace, p.name, "-c", container, "--"), command...)
}

// asked of a speaker: what MetalLB's must-gather asks FRR, in its words; and the speaker's own tables.
var (
	vtysh = []string{
		"show version", "show running-config",
		"show bgp vrf all summary", "show bgp vrf all ipv4", "show bgp vrf all ipv6", "show bgp vrf all neighbor",
		"show bgp summary", "show bgp ipv4", "show bgp ipv6", "show bgp neighbor",
		"show bfd peer", "show bfd peers brief", "show bfd peers counters",
	}
	show = []string{"state", "sessions", "announcements", "layer2", "links", "segments", "neighbors"}
)

// unanswered is how the speaker's own client says that the speaker did not answer it in time, which is shorter than a step.
const unanswered = "code = DeadlineExceeded"

// speaker asks a speaker for all that it knows. One that does not answer in time is asked no further.
func (g *Gatherer) speaker(ctx context.Context, p pod) {
	name := p.node
	if name == "" {
		name = p.name
	}
	dir := path.Join("speakers", archive.Name(name))
	frr := "speaker"
	if p.has("frr") {
		frr = "frr"
	}
	type question struct {
		path      string
		container string
		command   []string
	}
	var questions []question
	for _, c := range vtysh {
		questions = append(questions, question{path.Join("vtysh", strings.ReplaceAll(c, " ", "-")+".txt"), frr, []string{"vtysh", "-c", c}})
	}
	for _, s := range show {
		questions = append(questions, question{path.Join("show", s+".txt"), "speaker", []string{"speaker", "show", s}},
			question{path.Join("show", s+".json"), "speaker", []string{"speaker", "show", s, "-o", "json"}})
	}
	silent := false
	for _, q := range questions {
		argv := g.exec(p, q.container, q.command...)
		if silent {
			g.tree.Note(archive.Entry{Command: shown(argv), Exit: -1, Error: "not begun: this speaker did not answer another question in time"})
			continue
		}
		a := g.run(ctx, tableBytes, false, argv...)
		g.text(path.Join(dir, q.path), a)
		silent = a.late || strings.Contains(a.entry.Error, unanswered)
	}
}
