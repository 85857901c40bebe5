package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Reasons of the condition of a ConfigurationState, as MetalLB has them.
const (
	reconciled         = "Reconciled"
	configurationError = "ConfigurationError"
	unknownError       = "UnknownError"
)

const (
	// mostErrors and longestError bound what one state says.
	mostErrors   = 20
	longestError = 300
	// ackPatience is how long an update may wait for its answer before the state is unknown.
	ackPatience = 3 * time.Second
)

// verdict is what a component made of the configuration.
type verdict struct {
	result  metallb.ConfigurationResult
	message string
	// since is when that began; zero where nobody knows better than whoever reads it now.
	since time.Time
}

func unknown(since time.Time, format string, args ...any) verdict {
	return verdict{result: metallb.ConfigurationUnknown, message: fmt.Sprintf(format, args...), since: since}
}

func invalid(problems []string) verdict {
	if more := len(problems) - mostErrors; more > 0 {
		problems = append(problems[:mostErrors:mostErrors], fmt.Sprintf("and %d more", more))
	}
	return verdict{result: metallb.ConfigurationInvalid, message: "configuration error: " + strings.Join(problems, "\n")}
}

// judgeSpeaker says what a node's speaker made of the configuration of the store of that lineage. heard says whether it
// ever connected to this replica, which has listened from started on.
func judgeSpeaker(s dispatch.NodeState, heard bool, lineage string, started, now time.Time) verdict {
	switch {
	case !heard:
		return unknown(started, "the speaker has not connected to this replica of the apiserver, which started at %s", stamp(started))
	case !s.Connected:
		return unknown(s.Since, "the speaker has not been connected to this replica of the apiserver since %s", stamp(s.Since))
	case s.Standing == nil:
		return unknown(s.Since, "the speaker is connected, and has not said yet what it obeys")
	case s.Standing.GetRefusal() != ingotv1.Refusal_REFUSAL_UNSPECIFIED:
		return invalid([]string{"the speaker does not obey: " + cut(s.Standing.GetMessage())})
	case s.Standing.GetLineage() != "" && s.Standing.GetLineage() != lineage:
		return invalid([]string{fmt.Sprintf("the speaker obeys another store, of lineage %s: this one has %s", s.Standing.GetLineage(), lineage)})
	case len(s.Rejected) > 0:
		var problems []string
		for _, id := range slices.Sorted(maps.Keys(s.Rejected)) {
			problems = append(problems, rejection(id, s.Rejected[id]))
		}
		return invalid(problems)
	case !s.Standing.GetConfirmed():
		return unknown(s.Since, "the speaker is connected, and announces what it remembers: it has not been told anything yet since it started")
	case !s.Unacked.IsZero() && now.Sub(s.Unacked) >= ackPatience:
		return unknown(s.Unacked, "the speaker has not answered what it was sent at %s", stamp(s.Unacked))
	}
	return verdict{result: metallb.ConfigurationValid}
}

// rejection says what a node cannot do, in the words of who wrote the configuration.
func rejection(id, why string) string {
	if why == "" {
		why = "the speaker refuses it"
	}
	what := id
	for prefix, word := range map[string]string{"bgp-session/": "BGPPeer ", "bgp-route/": "route ", "layer2/": "layer-2 address ", "bgp-guard": "prefix guard"} {
		if name, ok := strings.CutPrefix(id, prefix); ok {
			what = word + name
		}
	}
	return what + ": " + cut(why)
}

// cut bounds a text that somebody else wrote, and keeps it to one line.
func cut(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longestError {
		text = strings.ToValidUTF8(text[:longestError], "") + "…"
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Names and labels of ConfigurationStates, as MetalLB has them.
const (
	labelComponent = "metallb.io/component-type"
	labelNode      = "metallb.io/node-name"

	controllerName = "controller"
	speakerPrefix  = "speaker-"

	speakerCondition    = "configReconcilerValid"
	controllerCondition = "poolReconcilerValid"
)

// stateOf makes the object that says v. before is the object as it was, nil if there was none: when its condition last
// changed is kept, and the object is as old as its result.
func stateOf(name string, labels map[string]string, condition string, v verdict, before *metallb.ConfigurationState, now time.Time) *metallb.ConfigurationState {
	next := metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: reconciled, Message: v.message}
	switch v.result {
	case metallb.ConfigurationInvalid:
		next.Status, next.Reason = metav1.ConditionFalse, configurationError
	case metallb.ConfigurationUnknown:
		next.Status, next.Reason = metav1.ConditionUnknown, unknownError
	}
	if v.since.IsZero() {
		v.since = now
	}
	next.LastTransitionTime = metav1.NewTime(v.since.Truncate(time.Second))
	state := &metallb.ConfigurationState{}
	if before != nil {
		state.Status.Conditions = slices.Clone(before.Status.Conditions)
	}
	meta.SetStatusCondition(&state.Status.Conditions, next)
	state.Name, state.Labels = name, labels
	state.CreationTimestamp = state.Status.Conditions[0].LastTransitionTime
	state.Status.Result, state.Status.ErrorSummary = v.result, v.message
	return state
}
