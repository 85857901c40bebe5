package rules

import (
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// An answer is bounded, however wrong the object.
const (
	// maxErrors is how many errors are listed, before one that says that there are more. Checks may stop beyond it.
	maxErrors = 20
	// maxWarnings is how many warnings are given, before one that says that there may be more. Checks may stop at it.
	maxWarnings = 20
	// maxQuoted is how much of a value, and of what is said of it, is shown, in bytes.
	maxQuoted, maxDetail = 256, 1024
)

// bounded cuts a list of errors, and the values that they show, to what somebody can read.
func bounded(errs field.ErrorList) field.ErrorList {
	if len(errs) > maxErrors {
		last := errs[maxErrors]
		errs = append(errs[:maxErrors:maxErrors], &field.Error{Type: field.ErrorTypeInvalid, Field: last.Field, BadValue: field.OmitValueType{},
			Detail: fmt.Sprintf("more is wrong here and maybe after it; the first %d errors are listed", maxErrors)})
	}
	for _, e := range errs {
		if text, ok := e.BadValue.(string); ok {
			e.BadValue = cut(text, maxQuoted)
		}
		e.Detail = cut(e.Detail, maxDetail)
	}
	return errs
}

// boundedWarnings does the same for warnings.
func boundedWarnings(warnings []string) []string {
	if len(warnings) > maxWarnings {
		warnings = append(warnings[:maxWarnings:maxWarnings], fmt.Sprintf("more may be said; the first %d warnings are listed", maxWarnings))
	}
	for i, w := range warnings {
		warnings[i] = cut(w, maxDetail)
	}
	return warnings
}

// cut shortens a text that is longer than so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:most], len(text))
}
