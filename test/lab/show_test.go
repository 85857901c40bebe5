package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ingot-lb/ingot/test/lab/control"
)

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 1, "c"},
		{"a\nb\n", 9, "a\nb\n"},
		{"a\nb", 0, ""},
		{"", 3, ""},
	} {
		if got := lastLines(c.text, c.n); got != c.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestStatusTextShowsPartsAddressesAndKubeconfig(t *testing.T) {
	var out bytes.Buffer
	err := writeStatus(&out, control.LabStatus{
		KubeConfig: "/l/kubeconfig",
		Parts: []control.Part{
			{Name: "frr", Place: "router", State: control.Running, PIDs: []int{7, 8}, Health: "ok"},
			{Name: "speaker/node1", Place: "node1", State: control.Dead, Health: "speaker ended by signal killed"},
		},
		Places: []control.Host{{Name: "node1", Addresses: map[string][]string{"lan": {"192.168.222.11"}}, Cut: []string{"lan"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"frr router 7,8 running ok", "speaker/node1 node1 - dead speaker ended by signal killed",
		"node1 - 192.168.222.11 - lan", "KUBECONFIG=/l/kubeconfig",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("status lacks %q:\n%s", want, out.String())
		}
	}
}
