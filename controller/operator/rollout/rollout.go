// Package rollout says in which order a new version comes to run, so that nobody ever meets somebody who is too old for
// him: first the apiserver, which is not the operator's and bears speakers of one minor version before its own; then the speakers, one node
// after the other; then the controller, whose allocations speakers carry out; then webhooks, which foretell what the controller
// does. Each waits until the one before is through. Whatever keeps its version changes at once.
package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/controller/operator/render"
)

// Patience is how long a rollout may stand still, on a node that is away, say, before the next one goes on without it.
const Patience = 10 * time.Minute

// Stage is one workload: a component's, or the apiserver.
type Stage struct {
	// Exists says that there is something that could be too old.
	Exists bool
	// Image that the cluster is told to run, and the one that is wanted.
	Image, Wanted string
	// Lacks says what is missing until every Pod runs Image and is ready; empty: nothing.
	Lacks string
	// Still is for how long nothing has become better, while it lacks something.
	Still time.Duration
}

func (s Stage) replaced() bool { return s.Exists && s.Image != s.Wanted }

// Held are the components that are not to be changed yet, and why. stages are those of render.Components.
func Held(apiserver Stage, stages map[string]Stage, tooOld []string) map[string]string {
	held := map[string]string{}
	before, waits := "the apiserver", apiserver.waits()
	for _, component := range render.Components {
		s := stages[component]
		if s.replaced() && waits != "" {
			held[component] = fmt.Sprintf("%s waits for %s: %s", component, before, waits)
		}
		switch {
		case held[component] != "":
			waits = held[component]
		case component == render.Speaker && len(tooOld) > 0:
			waits = "too old for the next: " + strings.Join(tooOld, ", ")
		default:
			waits = s.waits()
		}
		before = component
	}
	return held
}

// waits is what those wait for who come after; empty: nothing.
func (s Stage) waits() string {
	switch {
	case s.replaced():
		return fmt.Sprintf("it is to run %s", s.Wanted)
	case s.Exists && s.Still < Patience:
		return s.Lacks
	}
	return ""
}

// TooOld are the nodes, with versions, whose speakers a centre of a version does not bear: it bears those of its own minor version, of
// newer ones, and of one before. A version that does not begin as v1.2 does is not judged.
func TooOld(centre string, speakers map[string]string) []string { return older(centre, speakers, 1) }

// Hindering are those whose speakers the next minor version will not bear.
func Hindering(centre string, speakers map[string]string) []string { return older(centre, speakers, 0) }

func older(centre string, speakers map[string]string, by int) (nodes []string) {
	major, minor, known := parse(centre)
	if !known {
		return nil
	}
	for node, version := range speakers {
		theirs, their, known := parse(version)
		if known && (theirs < major || theirs == major && their < minor-by) {
			nodes = append(nodes, fmt.Sprintf("%s (%s)", node, version))
		}
	}
	slices.Sort(nodes)
	return nodes
}

// parse reads the first two numbers of a version.
func parse(version string) (major, minor int, ok bool) {
	rest, tagged := strings.CutPrefix(version, "v")
	parts := strings.SplitN(rest, ".", 3)
	if !tagged || len(parts) < 2 {
		return 0, 0, false
	}
	digits := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		parts[1] = parts[1][:digits]
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	return major, minor, errMajor == nil && errMinor == nil
}
