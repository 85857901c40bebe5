package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/test/admitted"
)

// FuzzText: whatever bytes a client sends, reading them, strictly and not, and the way of what is read through the
// strategy and the rules, ends in an object or in an error that is the client's.
func FuzzText(f *testing.F) {
	for seed := range uint32(100) {
		f.Add(admitted.Text(admitted.NewChoices(binary.LittleEndian.AppendUint32(nil, seed))))
	}
	for _, text := range []string{
		"", "null", "[]", "{}", `{"kind":"IPAddressPool"}`, "a: &a [*a]", "a: &a [1,1]\nb: [*a,*a]\nkind: IPAddressPool\napiVersion: metallb.io/v1beta1",
		`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","spec":{"addresses":["10.0.0.0/24"],"addresses":[]},"x":1}`,
		`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPoolList","items":[null]}`,
		`{"apiVersion":"metallb.io/__internal","kind":"IPAddressPool"}`,
		strings.Repeat("[", 20000), `{"apiVersion":"metallb.io/v1beta1","kind":"Community","spec":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9001),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, info := range install.WithoutProtobuf(install.Codecs).SupportedMediaTypes() {
			loose, _, err := decoder(info.Serializer).Decode(text, nil, nil)
			strict, _, strictErr := decoder(info.StrictSerializer).Decode(text, nil, nil)
			if err != nil && strictErr == nil {
				t.Errorf("%s: strict reading accepts what the other refuses: %v", info.MediaType, err)
			}
			if strictErr == nil && !reflect.DeepEqual(loose, strict) {
				t.Errorf("%s: strict reading reads %v, the other %v", info.MediaType, strict, loose)
			}
			if err != nil {
				continue
			}
			if obj, ok := loose.(object); ok {
				mine, err := create(obj, &metallb.Configuration{})
				if status := (apierrors.APIStatus)(nil); mine && err != nil && (!errors.As(err, &status) || status.Status().Code >= 500) {
					t.Errorf("the server takes the blame: %v", err)
				}
			}
		}
	})
}

// FuzzAdmission: what the strategies let pass, dry-run or not, is what the rules let pass, in any order of objects and
// beside any others.
func FuzzAdmission(f *testing.F) {
	for seed := range uint32(100) {
		f.Add(binary.LittleEndian.AppendUint32(nil, seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		c, book := admitted.NewChoices(input), admitted.NewBook()
		for range 20 {
			text := admitted.Text(c)
			obj, _, err := install.Codecs.UniversalDecoder(metallb.SchemeGroupVersion).Decode(text, nil, nil)
			before := book.Config
			stored, errs, wrong := book.Write(text)
			if wrong != nil {
				t.Fatal(wrong)
			}
			if err != nil {
				if stored != nil {
					t.Fatalf("%s is stored though it cannot be read: %v", text, err)
				}
				continue
			}
			mine, err := create(obj.(object), before)
			if mine && stored != nil && err != nil && !exists(before, stored) {
				t.Errorf("%s\nis stored, and refused by the strategy: %v", text, err)
			}
			if mine && len(errs) > 0 && err == nil && !exists(before, obj) {
				t.Errorf("%s\nis refused by the rules: %v; not by the strategy", text, errs)
			}
		}
	})
}

func decoder(s runtime.Serializer) runtime.Decoder {
	return install.Codecs.DecoderToVersion(s, metallb.SchemeGroupVersion)
}

// create is what a dry run of a create does, up to the storage, with its warnings and its table. Where the object is of no
// stored kind, mine is false.
func create(obj object, beside *metallb.Configuration) (mine bool, err error) {
	obj = obj.DeepCopyObject().(object)
	for _, k := range kinds {
		if reflect.TypeOf(k.newObject()) != reflect.TypeOf(obj) {
			continue
		}
		// The rules know the same Nodes here as in the book.
		s := strategy{install.Scheme, names.SimpleNameGenerator, k, namespace, func() *metallb.Configuration { return beside }, rules.NewJudge(admitted.Host())}
		ctx := withDryRun(genericapirequest.WithNamespace(genericapirequest.NewContext(), obj.GetNamespace()), []string{metav1.DryRunAll})
		rest.FillObjectMetaSystemFields(obj)
		if err := rest.BeforeCreate(s, ctx, obj); err != nil {
			return true, err
		}
		for _, w := range s.WarningsOnCreate(ctx, obj) {
			if w == "" {
				return true, fmt.Errorf("an empty warning")
			}
		}
		_, err := tableConvertor{k.columns}.ConvertToTable(ctx, obj, nil)
		return true, err
	}
	return false, nil
}

func exists(c *metallb.Configuration, like runtime.Object) bool { return admitted.Find(c, like) != nil }
