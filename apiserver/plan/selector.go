package plan

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selectors is an OR of label selectors; an empty one matches everything, as the API says of all of its selector
// lists except those of pools.
type selectors []labels.Selector

func compileSelectors(list []metav1.LabelSelector) (selectors, error) {
	s := make(selectors, 0, len(list))
	for i := range list {
		sel, err := metav1.LabelSelectorAsSelector(&list[i])
		if err != nil {
			return nil, err
		}
		s = append(s, sel)
	}
	return s, nil
}

func (s selectors) match(set map[string]string) bool { return len(s) == 0 || s.matchAny(set) }

func (s selectors) matchAny(set map[string]string) bool {
	for _, sel := range s {
		if sel.Matches(labels.Set(set)) {
			return true
		}
	}
	return false
}
