package registry

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
)

// change is what a request makes of an object. Upstream answers some patches that cannot be applied with status 500,
// logs them as the server's own errors, and quotes the whole object; here they are the client's mistakes, and no
// password of a peer is quoted.
type change struct {
	rest.UpdatedObjectInfo
	kind schema.GroupKind
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (c change) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := c.UpdatedObjectInfo.UpdatedObject(ctx, old)
	if err != nil {
		return nil, refusal(err)
	}
	meta := obj.(object)
	if version := meta.GetResourceVersion(); version != "" {
		if _, err := strconv.ParseUint(version, 10, 64); err != nil {
			return nil, apierrors.NewInvalid(c.kind, meta.GetName(), field.ErrorList{field.Invalid(
				field.NewPath("metadata", "resourceVersion"), version, "must be the one that a read returned, or empty")})
		}
	}
	return obj, nil
}

// refusal words the error of a patch that cannot be applied.
func refusal(err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return discreet(status)
	}
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "failed to create typed patch object"), // server-side apply, against the schema
		strings.HasPrefix(text, "failed to convert new object"),     // what the schema lets pass and the type does not
		strings.HasPrefix(text, "failed to convert to unversioned"): // or the conversion
		if mentionsPassword(text) {
			text = "the applied object does not fit the schema: " + strings.Join(mismatch.FindAllString(text, -1), ", ")
		}
		text = wrapped.ReplaceAllString(text, "got $1")
	case strings.HasPrefix(text, "unknown patch type"): // $patch of a strategic merge patch
	default:
		return err
	}
	return apierrors.NewBadRequest(text)
}

// mismatch is what the errors of server-side apply say before they quote the value.
var mismatch = regexp.MustCompile(`\.[\w.\[\]"=]+: (expected \w+|field not declared in schema)`)

// wrapped is how they quote it.
var wrapped = regexp.MustCompile(`got &(?:value\.valueUnstructured\{Value:|\{)(.*)\}`)

// unquoted stands for what is not quoted.
const unquoted = "not shown, for it may hold a password"

// discreet removes the patched object, which the generic server quotes, from an error where it may hold a password.
func discreet(status *apierrors.StatusError) error {
	if status.ErrStatus.Details == nil {
		return status
	}
	said := status.ErrStatus.DeepCopy()
	for i := range said.Details.Causes {
		cause := &said.Details.Causes[i]
		if cause.Field != "patch" || cause.Type != metav1.CauseTypeFieldValueInvalid || !mentionsPassword(cause.Message) {
			continue
		}
		const intro = "Invalid value: "
		why := ": cannot be applied"
		if quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(cause.Message, intro)); err == nil {
			why = strings.TrimPrefix(cause.Message, intro+quoted) // what is wrong: names fields, quotes no password
		}
		cause.Message = intro + unquoted + why
		said.Message = "patch: " + cause.Message
	}
	return &apierrors.StatusError{ErrStatus: *said}
}

// mentionsPassword is meant to be true too often rather than too seldom.
func mentionsPassword(text string) bool {
	return strings.Contains(strings.ToLower(text), "password")
}
