package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// verdict is one row of a table: what Check must say of a change. Each error begins with the field's path and holds
// the value; want gives path and a part of the message. None means accepted.
type verdict struct {
	name     string
	old, obj runtime.Object
	want     []problem
	warnings []string
}

type problem struct{ path, says string }

func run(t *testing.T, c *metallb.Configuration, table []verdict) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			errs, warnings := Check(c, Change{Resource: "tested", Old: tt.old, New: tt.obj})
			if len(errs) != len(tt.want) {
				t.Fatalf("got %d errors, want %d: %v", len(errs), len(tt.want), errs)
			}
			for i, w := range tt.want {
				if errs[i].Field != w.path || !strings.Contains(errs[i].Error(), w.says) {
					t.Errorf("error %d is %q; want field %s and %q", i, errs[i], w.path, w.says)
				}
			}
			if diff := cmp.Diff(tt.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "metallb-system"}
}

func labels(kv ...string) metav1.LabelSelector {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return metav1.LabelSelector{MatchLabels: m}
}

func expression(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}}}
}

func TestDeleteOfWhatNobodyUsesIsAccepted(t *testing.T) {
	c := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{newPool("web", "10.0.0.0/24")}}
	errs, warnings := Check(c, Change{Resource: "ipaddresspools", Old: c.IPAddressPools[0]})
	if len(errs) != 0 || len(warnings) != 0 {
		t.Errorf("got %v and %v, want nothing", errs, warnings)
	}
}

func TestUnknownTypeIsRefused(t *testing.T) {
	errs, _ := Check(nil, Change{Resource: "things", New: &metav1.Status{}})
	if len(errs) != 1 {
		t.Errorf("got %v, want one error", errs)
	}
}
