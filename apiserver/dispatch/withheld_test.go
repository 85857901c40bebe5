package dispatch

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

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
	logWithheld(log, nil, withheld(1))
	logWithheld(log, withheld(1), withheld(1))
	if got := strings.Count(out.String(), "no ready endpoint"); got != 1 || !strings.Contains(out.String(), "name=default/web0") {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
	out.Reset()
	logWithheld(log, nil, withheld(maxWithheldLines+7))
	if got := strings.Count(out.String(), "no ready endpoint"); got != maxWithheldLines || !strings.Contains(out.String(), "more=7") {
		t.Errorf("%d lines, and the rest is not counted", got)
	}
}
