// Package conditions puts what is known of an installation into the four conditions of its MetalLB object.
package conditions

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The conditions, each of which every MetalLB object has.
const (
	// Available: every program runs as the object says, on every node that it is for.
	Available = "Available"
	// Progressing: the installation is on the way to that.
	Progressing = "Progressing"
	// Degraded: it does not get there by itself.
	Degraded = "Degraded"
	// Upgradeable: the next version may come.
	Upgradeable = "Upgradeable"
)

// IncorrectName is the reason by which an object is Degraded whose name nobody acts on.
const IncorrectName = "IncorrectMetalLBResourceName"

// Workload is what is known of a Deployment or DaemonSet.
type Workload struct {
	Kind, Name string
	// Made says that it is there, and the operator's.
	Made bool
	// Seen says that the cluster's controller has acted on its latest change.
	Seen bool
	// Desired, Updated and Ready are numbers of Pods: how many there shall be, run what is wanted, and are ready.
	Desired, Updated, Ready int32
	// Waiting are the Pods that are not ready, each with its node and why, as far as is known.
	Waiting []string
	// Stalled says that this has not become better for long.
	Stalled bool
}

// mostPods is how many Pods a message names.
const mostPods = 5

// Lacks says what is missing of a workload; empty: nothing.
func (w Workload) Lacks() string {
	name := w.Kind + " " + w.Name
	switch {
	case !w.Made:
		return name + " is not there yet"
	case !w.Seen:
		return name + ": its latest change has not been acted on yet"
	case w.Updated < w.Desired:
		return fmt.Sprintf("%s: %d of %d Pods run what is wanted%s", name, w.Updated, w.Desired, w.pods())
	case w.Ready < w.Desired:
		return fmt.Sprintf("%s: %d of %d ready%s", name, w.Ready, w.Desired, w.pods())
	}
	return ""
}

func (w Workload) pods() string {
	if len(w.Waiting) == 0 {
		return ""
	}
	named := w.Waiting[:min(len(w.Waiting), mostPods)]
	more := ""
	if n := len(w.Waiting) - len(named); n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return " (" + strings.Join(named, "; ") + more + ")"
}

// Problem is why something cannot be made.
type Problem struct {
	// Reason is a word in CamelCase.
	Reason, Message string
}

// Input is what is known of an installation.
type Input struct {
	// Generation of the object that this is about.
	Generation int64
	Workloads  []Workload
	Problems   []Problem
	// Held says why components are not replaced yet by a new version of them.
	Held []string
	// Hindering are the nodes whose speakers the next version would not bear.
	Hindering []string
	// Removing says that the object is being deleted, and what is there still.
	Removing []string
}

// Of are the four conditions, of which those that are as before keep the time of their last change.
func Of(in Input, before []metav1.Condition, now metav1.Time) []metav1.Condition {
	var lacks, stalled []string
	for _, w := range in.Workloads {
		if l := w.Lacks(); l != "" {
			lacks = append(lacks, l)
			if w.Stalled {
				stalled = append(stalled, l)
			}
		}
	}
	degraded := condition(Degraded, false, "AsExpected", "")
	switch {
	case len(in.Problems) > 0:
		var messages []string
		for _, p := range in.Problems {
			messages = append(messages, p.Message)
		}
		degraded = condition(Degraded, true, in.Problems[0].Reason, messages...)
	case len(stalled) > 0:
		degraded = condition(Degraded, true, "Stalled", stalled...)
	}
	available := condition(Available, true, "Running", none(in.Workloads))
	if len(lacks) > 0 {
		available = condition(Available, false, "NotReady", lacks...)
	} else if len(in.Workloads) == 0 {
		available = condition(Available, false, "NotReady", "nothing is installed")
	}
	progressing := condition(Progressing, false, "Complete", "")
	switch {
	case len(in.Removing) > 0:
		progressing = condition(Progressing, true, "Removing", slices.Concat([]string{"still there"}, in.Removing)...)
		available = condition(Available, false, "Removing", "the object is being deleted")
	case len(in.Held) > 0:
		progressing = condition(Progressing, true, "Upgrading", slices.Concat(in.Held, lacks)...)
	case len(lacks) > len(stalled):
		progressing = condition(Progressing, true, "RollingOut", lacks...)
	case len(lacks) > 0:
		progressing = condition(Progressing, false, "Stalled", lacks...)
	}
	upgradeable := condition(Upgradeable, true, "AsExpected", "")
	switch {
	case progressing.Status == metav1.ConditionTrue:
		upgradeable = condition(Upgradeable, false, "RolloutUnderWay", progressing.Message)
	case len(in.Hindering) > 0:
		upgradeable = condition(Upgradeable, false, "SpeakersTooOld", "the next version does not bear the speakers of "+strings.Join(in.Hindering, ", "))
	case available.Status != metav1.ConditionTrue:
		upgradeable = condition(Upgradeable, false, "NotAvailable", available.Message)
	}
	return stamp([]metav1.Condition{available, upgradeable, progressing, degraded}, in.Generation, before, now)
}

// none tells of what is complete because there is nothing of it.
func none(workloads []Workload) string {
	for _, w := range workloads {
		if w.Desired == 0 {
			return fmt.Sprintf("%s %s has no Pods: no node is selected", w.Kind, w.Name)
		}
	}
	return ""
}

// OfIncorrectName are those of an object that nobody acts on; name is that of the one that is.
func OfIncorrectName(name string, generation int64, before []metav1.Condition, now metav1.Time) []metav1.Condition {
	message := fmt.Sprintf("only the MetalLB object %q is acted on", name)
	return stamp([]metav1.Condition{
		condition(Available, false, IncorrectName, message), condition(Upgradeable, false, IncorrectName, message),
		condition(Progressing, false, IncorrectName, message), condition(Degraded, true, IncorrectName, message),
	}, generation, before, now)
}

// mostMessage is how long a message may be, in bytes, by the rules for conditions.
const mostMessage = 32 << 10

func condition(kind string, is bool, reason string, messages ...string) metav1.Condition {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	message := strings.Join(messages, "; ")
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: strings.ToValidUTF8(message[:min(len(message), mostMessage)], "")}
}

func stamp(conditions []metav1.Condition, generation int64, before []metav1.Condition, now metav1.Time) []metav1.Condition {
	for i := range conditions {
		c := &conditions[i]
		c.ObservedGeneration, c.LastTransitionTime = generation, now
		if old := meta.FindStatusCondition(before, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return conditions
}
