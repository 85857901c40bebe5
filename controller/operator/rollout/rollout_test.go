package rollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/controller/operator/render"
)

func TestHeld(t *testing.T) {
	runs := func(image, wanted string) Stage { return Stage{Exists: true, Image: image, Wanted: wanted} }
	rolling := Stage{Exists: true, Image: "new", Wanted: "new", Lacks: "1 of 3 ready"}
	still := rolling
	still.Still = Patience
	stages := func(speaker, controller, webhooks Stage) map[string]Stage {
		return map[string]Stage{render.Speaker: speaker, render.Controller: controller, render.Webhooks: webhooks}
	}
	old, current, none := runs("old", "new"), runs("new", "new"), Stage{Wanted: "new"}
	for _, c := range []struct {
		name      string
		apiserver Stage
		stages    map[string]Stage
		tooOld    []string
		want      map[string]string
	}{
		{name: "a first installation goes all at once", apiserver: rolling, stages: stages(none, none, none)},
		{name: "the same version changes at once", apiserver: rolling, stages: stages(rolling, rolling, current)},
		{name: "all wait for the apiserver", apiserver: rolling, stages: stages(old, old, old), want: map[string]string{
			"speaker":    "speaker waits for the apiserver: 1 of 3 ready",
			"controller": "controller waits for speaker: speaker waits for the apiserver: 1 of 3 ready",
			"webhooks":   "webhooks waits for controller: controller waits for speaker: speaker waits for the apiserver: 1 of 3 ready"}},
		{name: "an apiserver that is to be another", apiserver: old, stages: stages(old, current, current), want: map[string]string{
			"speaker": "speaker waits for the apiserver: it is to run new"}},
		{name: "an apiserver elsewhere is nobody's to wait for", apiserver: Stage{}, stages: stages(old, current, current)},
		{name: "first speakers", apiserver: current, stages: stages(old, old, old), want: map[string]string{
			"controller": "controller waits for speaker: it is to run new",
			"webhooks":   "webhooks waits for controller: controller waits for speaker: it is to run new"}},
		{name: "while they are rolled", apiserver: current, stages: stages(rolling, old, old), want: map[string]string{
			"controller": "controller waits for speaker: 1 of 3 ready",
			"webhooks":   "webhooks waits for controller: controller waits for speaker: 1 of 3 ready"}},
		{name: "then the controller", apiserver: current, stages: stages(current, old, old), want: map[string]string{
			"webhooks": "webhooks waits for controller: it is to run new"}},
		{name: "then webhooks", apiserver: current, stages: stages(current, current, old)},
		{name: "a node that is away holds nobody up for ever", apiserver: current, stages: stages(still, old, current)},
		{name: "unless its speaker is too old", apiserver: current, stages: stages(still, old, current), tooOld: []string{"node3 (v1.0.0)"},
			want: map[string]string{"controller": "controller waits for speaker: too old for the next: node3 (v1.0.0)"}},
		{name: "a controller that was removed comes back", apiserver: current, stages: stages(rolling, none, current)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				c.want = map[string]string{}
			}
			if diff := cmp.Diff(c.want, Held(c.apiserver, c.stages, c.tooOld)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhoIsTooOld(t *testing.T) {
	speakers := map[string]string{"a": "v1.4.0", "b": "v1.3.7-2-gabc", "c": "v1.2.9", "d": "v0.9.0", "e": "dev", "f": "v2.0.0", "g": "", "h": "v1.x"}
	for _, c := range []struct {
		centre            string
		tooOld, hindering []string
	}{
		{"v1.4.1", []string{"c (v1.2.9)", "d (v0.9.0)"}, []string{"b (v1.3.7-2-gabc)", "c (v1.2.9)", "d (v0.9.0)"}},
		{"v1.4-rc1", []string{"c (v1.2.9)", "d (v0.9.0)"}, []string{"b (v1.3.7-2-gabc)", "c (v1.2.9)", "d (v0.9.0)"}},
		{"v0.9.5", nil, nil},
		{"dev", nil, nil},
		{"v3", nil, nil},
	} {
		if diff := cmp.Diff(c.tooOld, TooOld(c.centre, speakers)); diff != "" {
			t.Errorf("too old for %s (-want +got):\n%s", c.centre, diff)
		}
		if diff := cmp.Diff(c.hindering, Hindering(c.centre, speakers)); diff != "" {
			t.Errorf("too old for who follows %s (-want +got):\n%s", c.centre, diff)
		}
	}
}
