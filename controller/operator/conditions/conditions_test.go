package conditions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// text is one line for each condition: "Available=True Running: message".
func text(t *testing.T, conditions []metav1.Condition) string {
	t.Helper()
	if errs := validation.ValidateConditions(conditions, field.NewPath("conditions")); len(errs) > 0 {
		t.Errorf("refused by the API: %v", errs)
	}
	var lines strings.Builder
	for _, c := range conditions {
		fmt.Fprintf(&lines, "%s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return lines.String()
}

func TestOf(t *testing.T) {
	speakers := func(change func(*Workload)) Workload {
		w := Workload{Kind: "DaemonSet", Name: "speaker", Made: true, Seen: true, Desired: 3, Updated: 3, Ready: 3}
		change(&w)
		return w
	}
	controller := Workload{Kind: "Deployment", Name: "controller", Made: true, Seen: true, Desired: 1, Updated: 1, Ready: 1}
	for _, c := range []struct {
		name string
		in   Input
		want string
	}{
		{"all runs", Input{Workloads: []Workload{speakers(func(*Workload) {}), controller}}, `
Available=True Running: 
Upgradeable=True AsExpected: 
Progressing=False Complete: 
Degraded=False AsExpected: 
`},
		{"nothing is there", Input{Workloads: []Workload{{Kind: "DaemonSet", Name: "speaker"}, controller}}, `
Available=False NotReady: DaemonSet speaker is not there yet
Upgradeable=False RolloutUnderWay: DaemonSet speaker is not there yet
Progressing=True RollingOut: DaemonSet speaker is not there yet
Degraded=False AsExpected: 
`},
		{"a change is new", Input{Workloads: []Workload{speakers(func(w *Workload) { w.Seen = false })}}, `
Available=False NotReady: DaemonSet speaker: its latest change has not been acted on yet
Upgradeable=False RolloutUnderWay: DaemonSet speaker: its latest change has not been acted on yet
Progressing=True RollingOut: DaemonSet speaker: its latest change has not been acted on yet
Degraded=False AsExpected: 
`},
		{"two are old", Input{Workloads: []Workload{speakers(func(w *Workload) { w.Updated = 1 })}}, `
Available=False NotReady: DaemonSet speaker: 1 of 3 Pods run what is wanted
Upgradeable=False RolloutUnderWay: DaemonSet speaker: 1 of 3 Pods run what is wanted
Progressing=True RollingOut: DaemonSet speaker: 1 of 3 Pods run what is wanted
Degraded=False AsExpected: 
`},
		{"two are not ready", Input{Workloads: []Workload{speakers(func(w *Workload) {
			w.Ready, w.Waiting = 1, []string{"node2: ImagePullBackOff", "node3: Pending"}
		})}}, `
Available=False NotReady: DaemonSet speaker: 1 of 3 ready (node2: ImagePullBackOff; node3: Pending)
Upgradeable=False RolloutUnderWay: DaemonSet speaker: 1 of 3 ready (node2: ImagePullBackOff; node3: Pending)
Progressing=True RollingOut: DaemonSet speaker: 1 of 3 ready (node2: ImagePullBackOff; node3: Pending)
Degraded=False AsExpected: 
`},
		{"for long, and on many nodes", Input{Workloads: []Workload{speakers(func(w *Workload) {
			w.Desired, w.Updated, w.Ready, w.Stalled, w.Waiting = 7, 7, 0, true, []string{"a", "b", "c", "d", "e", "f", "g"}
		})}}, `
Available=False NotReady: DaemonSet speaker: 0 of 7 ready (a; b; c; d; e; and 2 more)
Upgradeable=False NotAvailable: DaemonSet speaker: 0 of 7 ready (a; b; c; d; e; and 2 more)
Progressing=False Stalled: DaemonSet speaker: 0 of 7 ready (a; b; c; d; e; and 2 more)
Degraded=True Stalled: DaemonSet speaker: 0 of 7 ready (a; b; c; d; e; and 2 more)
`},
		{"no node is selected", Input{Workloads: []Workload{speakers(func(w *Workload) { w.Desired, w.Updated, w.Ready = 0, 0, 0 })}}, `
Available=True Running: DaemonSet speaker has no Pods: no node is selected
Upgradeable=True AsExpected: 
Progressing=False Complete: 
Degraded=False AsExpected: 
`},
		{"something is somebody else's", Input{Workloads: []Workload{controller}, Problems: []Problem{{"ForeignObject", "Service webhooks is not ours"}, {"ApplyFailed", "no"}}}, `
Available=True Running: 
Upgradeable=True AsExpected: 
Progressing=False Complete: 
Degraded=True ForeignObject: Service webhooks is not ours; no
`},
		{"nothing can be made", Input{Problems: []Problem{{"NotRendered", "no image"}}}, `
Available=False NotReady: nothing is installed
Upgradeable=False NotAvailable: nothing is installed
Progressing=False Complete: 
Degraded=True NotRendered: no image
`},
		{"an upgrade", Input{Workloads: []Workload{speakers(func(w *Workload) { w.Updated = 1 }), controller}, Held: []string{"controller waits"}, Hindering: []string{"node1 (v1.0.0)"}}, `
Available=False NotReady: DaemonSet speaker: 1 of 3 Pods run what is wanted
Upgradeable=False RolloutUnderWay: controller waits; DaemonSet speaker: 1 of 3 Pods run what is wanted
Progressing=True Upgrading: controller waits; DaemonSet speaker: 1 of 3 Pods run what is wanted
Degraded=False AsExpected: 
`},
		{"a speaker too old for the next", Input{Workloads: []Workload{controller}, Hindering: []string{"node1 (v1.0.0)"}}, `
Available=True Running: 
Upgradeable=False SpeakersTooOld: the next version does not bear the speakers of node1 (v1.0.0)
Progressing=False Complete: 
Degraded=False AsExpected: 
`},
		{"the end", Input{Removing: []string{"DaemonSet speaker"}}, `
Available=False Removing: the object is being deleted
Upgradeable=False RolloutUnderWay: still there; DaemonSet speaker
Progressing=True Removing: still there; DaemonSet speaker
Degraded=False AsExpected: 
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), text(t, Of(c.in, nil, now))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestIncorrectName(t *testing.T) {
	want := `Available=False IncorrectMetalLBResourceName: only the MetalLB object "metallb" is acted on
Upgradeable=False IncorrectMetalLBResourceName: only the MetalLB object "metallb" is acted on
Progressing=False IncorrectMetalLBResourceName: only the MetalLB object "metallb" is acted on
Degraded=True IncorrectMetalLBResourceName: only the MetalLB object "metallb" is acted on
`
	if diff := cmp.Diff(want, text(t, OfIncorrectName("metallb", 3, nil, now))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTimesAreOfChanges: only what is otherwise than before has the time of now.
func TestTimesAreOfChanges(t *testing.T) {
	early := metav1.NewTime(now.Add(-time.Hour))
	before := Of(Input{Generation: 1}, nil, early)
	after := Of(Input{Generation: 2, Problems: []Problem{{"ApplyFailed", "no"}}}, before, now)
	for _, c := range after {
		want := early
		if c.Type == Degraded {
			want = now
		}
		if c.LastTransitionTime != want || c.ObservedGeneration != 2 {
			t.Errorf("%s changed at %v, of generation %d", c.Type, c.LastTransitionTime, c.ObservedGeneration)
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	text(t, Of(Input{Problems: []Problem{{"ApplyFailed", strings.Repeat("ä", 40_000)}}}, nil, now))
}
