package conditions

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Merge gives the conditions of a verdict the times of their last transitions: those of the stored conditions where the
// status stays, now otherwise. changed says whether they differ from what is stored; conditions of other types do not
// count.
func Merge(stored, want []metav1.Condition, now time.Time) (merged []metav1.Condition, changed bool) {
	merged = slices.Clone(want)
	for i := range merged {
		c := &merged[i]
		c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second)) // as precise as it is stored
		at := slices.IndexFunc(stored, func(s metav1.Condition) bool { return s.Type == c.Type })
		if at < 0 {
			changed = true
			continue
		}
		before := &stored[at]
		if before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
		changed = changed || before.Status != c.Status || before.Reason != c.Reason || before.Message != c.Message ||
			before.ObservedGeneration != c.ObservedGeneration
	}
	return merged, changed
}
