package dispatch

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
)

func TestWithheldIsSaidOnceAndBounded(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	withheld := func(n int) *plan.Output {
		o := &plan.Output{}
		for i := range n {
			o.Withheld = append(o.Withheld, plan.Withheld{Kind: plan.KindService, Name: types.NamespacedName{Namespace: "default", Name: fmt.Sprint("web", i)},
				Protocol: plan.BGP, Reason: plan.ReasonNoEndpoints, Message: "no ready endpoint"})
		}
		return o
	}
	logWithheld(log, newlyWithheld(nil, withheld(1)))
	logWithheld(log, newlyWithheld(withheld(1), withheld(1)))
	if got := strings.Count(out.String(), "no ready endpoint"); got != 1 || !strings.Contains(out.String(), "name=default/web0") {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
	out.Reset()
	logWithheld(log, newlyWithheld(nil, withheld(maxWithheldLines+7)))
	if got := strings.Count(out.String(), "no ready endpoint"); got != maxWithheldLines || !strings.Contains(out.String(), "more=7") {
		t.Errorf("%d lines, and the rest is not counted", got)
	}
}

func TestWithheldConfigurationIsAWarningAndRefersToTheObject(t *testing.T) {
	config := &metallb.Configuration{BGPPeers: []*metallb.BGPPeer{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "other", UID: "1"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "router", UID: "2", ResourceVersion: "7"}},
	}}
	w := plan.Withheld{Kind: plan.KindBGPPeer, Name: types.NamespacedName{Namespace: "metallb-system", Name: "router"},
		Reason: plan.ReasonInvalidPassword, Message: "no such Secret"}
	var out bytes.Buffer
	logWithheld(slog.New(slog.NewTextHandler(&out, nil)), []plan.Withheld{w})
	if !strings.Contains(out.String(), "level=WARN") {
		t.Errorf("not a warning: %s", out.String())
	}
	want := corev1.ObjectReference{APIVersion: "metallb.io/v1beta2", Kind: "BGPPeer", Namespace: "metallb-system", Name: "router", UID: "2", ResourceVersion: "7"}
	got, ok := objectOf(config, w)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("object (found: %t; -want +got):\n%s", ok, diff)
	}
	w.Name.Name = "gone"
	if got, ok := objectOf(config, w); ok {
		t.Errorf("an object that is gone is %v", got)
	}
	if got, ok := objectOf(config, plan.Withheld{Kind: plan.KindService, Name: w.Name}); ok {
		t.Errorf("a Service is the configuration object %v", got)
	}
}
