package registry

import (
	"errors"
	"fmt"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What an answer shows, at most. The rules bound theirs; upstream repeats what it refuses, three times over.
const (
	maxMessage = 8 << 10 // bytes of the message
	maxCause   = 1 << 10 // bytes of one cause
	maxName    = 256     // bytes of the object's name
	maxCauses  = 25
)

// brief cuts an error that repeats what was sent to what somebody can read.
func brief(err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return err
	}
	details := status.ErrStatus.Details
	if len(status.ErrStatus.Message) <= maxMessage && (details == nil || len(details.Name) <= maxName && len(details.Causes) <= maxCauses) {
		return err
	}
	said := status.ErrStatus.DeepCopy()
	said.Message = clip(said.Message, maxMessage)
	if said.Details != nil {
		said.Details.Name = clip(said.Details.Name, maxName)
		said.Details.Causes = said.Details.Causes[:min(len(said.Details.Causes), maxCauses)]
		for i := range said.Details.Causes {
			said.Details.Causes[i].Message = clip(said.Details.Causes[i].Message, maxCause)
			said.Details.Causes[i].Field = clip(said.Details.Causes[i].Field, maxCause)
		}
	}
	return &apierrors.StatusError{ErrStatus: *said}
}

// clip shortens a text that is longer than so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:most], len(text))
}

// maxMetadata is how many labels, annotations, finalizers or owners an object may have. Who manages which of them is
// worked out for each write, at a cost that grows with the square of their number.
const maxMetadata = 1000

// checkMetadata bounds what upstream does not. What an object has already may stay.
func checkMetadata(meta, old metav1.Object) field.ErrorList {
	var errs field.ErrorList
	for _, part := range []struct {
		name string
		size func(metav1.Object) int
	}{
		{"labels", func(o metav1.Object) int { return len(o.GetLabels()) }},
		{"annotations", func(o metav1.Object) int { return len(o.GetAnnotations()) }},
		{"finalizers", func(o metav1.Object) int { return len(o.GetFinalizers()) }},
		{"ownerReferences", func(o metav1.Object) int { return len(o.GetOwnerReferences()) }},
	} {
		n := part.size(meta)
		if n > maxMetadata && (old == nil || n > part.size(old)) {
			errs = append(errs, field.TooMany(field.NewPath("metadata", part.name), n, maxMetadata))
		}
	}
	return errs
}
