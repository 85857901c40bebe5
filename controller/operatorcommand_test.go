package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/controller/operator/render"
)

func TestSettingsFromTheEnvironment(t *testing.T) {
	images := map[string]string{"CONTROLLER_IMAGE": "c", "SPEAKER_IMAGE": "s", "WEBHOOKS_IMAGE": "w"}
	want := render.Settings{Namespace: "lb", MetricsPort: 7472, NetworkPolicies: true,
		Images: map[string]string{render.Controller: "c", render.Speaker: "s", render.Webhooks: "w"}}
	from := func(more map[string]string) (render.Settings, error) {
		return settingsFrom(func(name string) string {
			if v, ok := more[name]; ok {
				return v
			}
			return images[name]
		}, "lb")
	}
	got, err := from(nil)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want.MetricsPort, want.NetworkPolicies, want.Enforce = 9120, false, true
	got, err = from(map[string]string{"METRICS_PORT": "9120", "DISABLE_NETWORK_POLICIES": "true", "WEBHOOKS_ENFORCE": "1"})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, wrong := range map[string]string{
		"SPEAKER_IMAGE": "", "METRICS_PORT": "0", "DISABLE_NETWORK_POLICIES": "maybe", "WEBHOOKS_ENFORCE": "2",
	} {
		if _, err := from(map[string]string{name: wrong}); err == nil {
			t.Errorf("%s %q is taken", name, wrong)
		}
	}
}
