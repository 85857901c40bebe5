package rules

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkSelector applies the rules of every label selector in Kubernetes.
func checkSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, path)
}

// checkSelectors checks each selector of the named field, and that no two mean the same.
func checkSelectors(selectors []metav1.LabelSelector, parent *field.Path, name string) field.ErrorList {
	path := parent.Child(name)
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range selectors {
		s := &selectors[i]
		invalid := checkSelector(s, path.Index(i))
		errs = append(errs, invalid...)
		if len(invalid) > 0 {
			continue
		}
		parsed, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			errs = append(errs, field.Invalid(path.Index(i), metav1.FormatLabelSelector(s), err.Error()))
			continue
		}
		key := parsed.String() // canonical: requirements and values are sorted
		if seen[key] {
			errs = append(errs, duplicate(path.Index(i), metav1.FormatLabelSelector(s), "of "+name))
		}
		seen[key] = true
	}
	return errs
}

// checkExpressions refuses repetition within selectors, where MetalLB looks for it (B11).
func checkExpressions(selectors []metav1.LabelSelector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range selectors {
		at := path.Index(i).Child("matchExpressions")
		seen := map[string]bool{}
		for j, e := range selectors[i].MatchExpressions {
			errs = append(errs, unique(e.Values, "of match expression value", at.Index(j).Child("values"))...)
			text := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchExpressions: selectors[i].MatchExpressions[j : j+1]})
			if seen[text] {
				errs = append(errs, duplicate(at.Index(j), text, "of match expression"))
			}
			seen[text] = true
		}
	}
	return errs
}

// unique refuses repeated values.
func unique(values []string, what string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, v := range values {
		if seen[v] {
			errs = append(errs, duplicate(path.Index(i), v, what))
		}
		seen[v] = true
	}
	return errs
}

func duplicate(path *field.Path, value, what string) *field.Error {
	err := field.Duplicate(path, value)
	err.Detail = fmt.Sprintf("duplicate definition %s %q", what, value)
	return err
}

// between refuses a value outside of low to high.
func between[T int32 | int64](value, low, high T, what string, path *field.Path) field.ErrorList {
	if low <= value && value <= high {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("invalid %s %d: must be %d to %d", what, value, low, high))}
}
