package registry

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// made is an UpdatedObjectInfo that gives obj and err.
type made struct {
	rest.UpdatedObjectInfo
	obj runtime.Object
	err error
}

func (m made) UpdatedObject(context.Context, runtime.Object) (runtime.Object, error) {
	return m.obj, m.err
}

// quoted is the error of a JSON or merge patch whose result does not decode; the generic server quotes the result.
func quoted(object string) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), object,
		"json: cannot unmarshal string into Go struct field BGPPeerSpec.spec.peerPort of type int32")})
}

func TestRefusals(t *testing.T) {
	unavailable := errors.New("connection refused")
	versioned := pool("web", "10.0.0.0/24")
	versioned.ResourceVersion = "one"
	tests := []struct {
		name     string
		made     made
		code     int32 // 0: the error as it is
		says     []string
		saysNot  string
		original error
	}{
		{name: "a patched object with a password", code: 422,
			made: made{err: quoted(`{"spec":{"password":"hunter2 \"quoted\"","peerPort":"x"}}`)},
			says: []string{"patch", "spec.peerPort of type int32"}, saysNot: "hunter2"},
		{name: "a patched object without", code: 422,
			made: made{err: quoted(`{"spec":{"peerPort":"x"}}`)},
			says: []string{"patch", `{\"peerPort\":\"x\"}`, "spec.peerPort of type int32"}},
		{name: "an applied password that is no string", code: 400,
			made: made{err: errors.New("failed to create typed patch object (a/b; metallb.io/v1beta2, Kind=BGPPeer): .spec.password: expected string, got &value.valueUnstructured{Value:123456}")},
			says: []string{".spec.password: expected string"}, saysNot: "123456"},
		{name: "an applied field that does not exist", code: 400,
			made: made{err: errors.New("failed to create typed patch object (a/b; metallb.io/v1beta1, Kind=IPAddressPool): .spec.bar: field not declared in schema")},
			says: []string{".spec.bar: field not declared in schema"}},
		{name: "an applied value of the wrong type", code: 400,
			made: made{err: errors.New("failed to create typed patch object (a/b; metallb.io/v1beta1, Kind=IPAddressPool): .spec.addresses: expected list, got &{10.0.0.0/24}")},
			says: []string{".spec.addresses: expected list, got 10.0.0.0/24"}},
		{name: "an applied number that does not fit", code: 400,
			made: made{err: errors.New("failed to convert new object (a/b; metallb.io/v1beta2, Kind=BGPPeer) to proper version: cannot convert 1e50")},
			says: []string{"1e50"}},
		{name: "an applied annotation that cannot be converted", code: 400,
			made: made{err: errors.New("failed to convert to unversioned (a/b; metallb.io/v1beta1, Kind=BGPPeer): annotation v1beta2.ingot.io/vrf: must be the JSON")},
			says: []string{"v1beta2.ingot.io/vrf"}},
		{name: "a strategic patch of an unknown type", code: 400,
			made: made{err: errors.New("unknown patch type: foo in map: map[$patch:foo]")}, says: []string{"$patch:foo"}},
		{name: "a resource version that is none", code: 422,
			made: made{obj: versioned}, says: []string{"metadata.resourceVersion", `"one"`, "web"}},
		{name: "what the client did not do", made: made{err: unavailable}, original: unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := change{tt.made, metallb.SchemeGroupVersion.WithKind("IPAddressPool").GroupKind()}.UpdatedObject(t.Context(), nil)
			if tt.original != nil {
				if err != tt.original {
					t.Fatalf("got %v, want it as it was", err)
				}
				return
			}
			var status *apierrors.StatusError
			if !errors.As(err, &status) || status.ErrStatus.Code != tt.code {
				t.Fatalf("got %v, want a status with code %d", err, tt.code)
			}
			all := status.ErrStatus.String()
			for _, want := range tt.says {
				if !strings.Contains(status.ErrStatus.Message, want) {
					t.Errorf("no %s in: %s", want, status.ErrStatus.Message)
				}
			}
			if tt.saysNot != "" && strings.Contains(all, tt.saysNot) {
				t.Errorf("the password is in: %s", all)
			}
		})
	}
}
