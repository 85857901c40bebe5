package collect

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTheEndOfALogIsKeptInWholeLines(t *testing.T) {
	b := &bounded{limit: 20, last: true}
	for range 100 {
		if n, err := b.Write([]byte("0123456789\n")); n != 11 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := b.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	if got := string(b.bytes()); got != "0123456789\nthe end\n" || !b.cut {
		t.Errorf("kept %q", got)
	}
	short := &bounded{limit: 20, last: true}
	if _, err := short.Write([]byte("all\nof it")); err != nil || string(short.bytes()) != "all\nof it" || short.cut {
		t.Errorf("kept %q, %v", short.bytes(), err)
	}
	first := &bounded{limit: 4}
	if n, err := first.Write([]byte("abcdef")); n != 6 || err != nil || string(first.bytes()) != "abcd" || !first.cut {
		t.Errorf("kept %q", first.bytes())
	}
}

func TestCommandsAreShownAsTyped(t *testing.T) {
	if got, want := shown([]string{"kubectl", "exec", "vtysh", "-c", "show it's", ""}), `kubectl exec vtysh -c 'show it'\''s' ''`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHistoryIsInOrder(t *testing.T) {
	g := &Gatherer{}
	g.remember("Service", []map[string]any{{
		"metadata": map[string]any{"namespace": "default", "name": "web", "creationTimestamp": "2026-01-01T00:00:00Z",
			"managedFields": []any{map[string]any{"manager": "kubectl", "operation": "Update", "time": "2026-01-03T00:00:00Z"}}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Allocated", "status": "True", "reason": "Ok", "message": "m", "lastTransitionTime": "2026-01-02T00:00:00Z"}}},
	}})
	g.remember("Event", []map[string]any{{
		"metadata": map[string]any{"name": "e"}, "involvedObject": map[string]any{"kind": "Service", "namespace": "default", "name": "web"},
		"type": "Normal", "reason": "nodeAssigned", "message": "announcing", "lastTimestamp": "2026-01-02T12:00:00Z", "source": map[string]any{"component": "metallb-speaker"},
	}})
	g.remember("ServiceL2Status", []map[string]any{{"metadata": map[string]any{"name": "l2"}, "status": map[string]any{"node": "node1", "since": "2026-01-02T13:00:00Z", "reason": "NodeGone"}}})
	want := `2026-01-01T00:00:00.000Z  Service default/web: created
2026-01-02T00:00:00.000Z  Service default/web: condition Allocated=True Ok: m
2026-01-02T12:00:00.000Z  Service default/web: event Normal nodeAssigned by metallb-speaker: announcing
2026-01-02T13:00:00.000Z  ServiceL2Status l2: status.since node=node1 reason=NodeGone
2026-01-03T00:00:00.000Z  Service default/web: last Update by "kubectl"
`
	if got := string(g.timeline()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}

// TestPodsTellHowTheyAreAsked: through the kube-apiserver nobody can tell from an answer that TLS was wanted.
func TestPodsTellHowTheyAreAsked(t *testing.T) {
	object := func(scheme string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": "p"}, "spec": map[string]any{"containers": []any{
			map[string]any{"name": "controller", "ports": []any{map[string]any{"name": "monitoring", "containerPort": json.Number("7476")}},
				"readinessProbe": map[string]any{"httpGet": map[string]any{"scheme": scheme}}},
			map[string]any{"name": "other"},
		}}}
	}
	for scheme, want := range map[string]bool{"": false, "HTTP": false, "HTTPS": true} {
		if p := podOf(object(scheme)); p.tls != want || p.port != "7476" {
			t.Errorf("%q: TLS %t on port %s, want %t on 7476", scheme, p.tls, p.port, want)
		}
	}
}
