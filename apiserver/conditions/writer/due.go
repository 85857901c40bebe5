package writer

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/conditions"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// record is what is known to be stored of one object.
type record struct {
	version    uint64
	conditions []metav1.Condition
	// notBefore is when it may be written again.
	notBefore time.Time
	retry     backoff.Backoff
}

func (w *Writer) recordOf(v conditions.Verdict) *record {
	uid := v.Object.GetUID()
	r := w.records[uid]
	if r == nil {
		r = &record{}
		w.records[uid] = r
	}
	if r.retry.First == 0 {
		r.retry = backoff.Backoff{First: retryFirst, Most: retryLast}
	}
	return r
}

// versionOf makes a resource version comparable; those of stored objects are numbers.
func versionOf(resourceVersion string) uint64 {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// due lists what differs from what is stored and may be written, the most urgent first, and says when the next of those
// that must wait may be.
func (w *Writer) due(now time.Time) (list []conditions.Verdict, next time.Time) {
	type urgency struct {
		conditions.Verdict
		unobserved bool // what was written last has no conditions yet: somebody may wait for them
	}
	var all []urgency
	for _, v := range w.verdicts {
		var stored []metav1.Condition
		var notBefore time.Time
		if r := w.records[v.Object.GetUID()]; r != nil {
			stored, notBefore = r.conditions, r.notBefore
		}
		merged, changed := conditions.Merge(stored, v.Conditions, now)
		if !changed {
			continue
		}
		if now.Before(notBefore) {
			if next.IsZero() || notBefore.Before(next) {
				next = notBefore
			}
			continue
		}
		v.Conditions = merged
		observed := slices.ContainsFunc(stored, func(c metav1.Condition) bool {
			return c.Type == conditions.Ready && c.ObservedGeneration == v.Object.GetGeneration()
		})
		all = append(all, urgency{v, !observed})
	}
	slices.SortStableFunc(all, func(a, b urgency) int {
		switch {
		case a.unobserved != b.unobserved:
			if a.unobserved {
				return -1
			}
			return 1
		default: // the younger first
			return b.Object.GetCreationTimestamp().Compare(a.Object.GetCreationTimestamp().Time)
		}
	})
	for _, u := range all {
		list = append(list, u.Verdict)
	}
	return list, next
}

// same says whether two inputs give the same verdicts.
func same(a, b conditions.Input) bool {
	return a.Config == b.Config && slices.EqualFunc(a.Nodes, b.Nodes, sameNode) && slices.Equal(ofConfiguration(a.Withheld), ofConfiguration(b.Withheld)) &&
		reflect.DeepEqual(a.Refused, b.Refused) && sameSecrets(a, b)
}

func sameNode(a, b rules.Node) bool {
	return a.Name == b.Name && maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Addresses, b.Addresses)
}

func ofConfiguration(all []plan.Withheld) []plan.Withheld {
	return slices.DeleteFunc(slices.Clone(all), func(w plan.Withheld) bool { return w.Kind == plan.KindService || w.Kind == plan.KindNode })
}

// sameSecrets says whether the Secrets that peers name are as usable in one input as in the other.
func sameSecrets(a, b conditions.Input) bool {
	for _, p := range a.Config.BGPPeers {
		name := p.Spec.PasswordSecret.Name
		if name == "" {
			continue
		}
		x, knownX := a.Secrets(name)
		y, knownY := b.Secrets(name)
		if x == y && knownX == knownY {
			continue
		}
		_, was := rules.PasswordSecret(name, x)
		_, is := rules.PasswordSecret(name, y)
		if knownX != knownY || was != is {
			return false
		}
	}
	return true
}
