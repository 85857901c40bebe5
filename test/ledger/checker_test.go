package ledger_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/ingot-lb/ingot/test/ledger"
)

// showing is a Service as etcd has it.
func showing(t *testing.T, ip string) []byte {
	t.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	text, err := runtime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), svc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestChecker(t *testing.T) {
	const (
		web     = `{"namespace":"default","name":"web","ports":[{"protocol":"TCP","port":80}]}`
		db      = `{"namespace":"default","name":"db","ports":[{"protocol":"TCP","port":81}]}`
		rivalOf = `{"namespace":"default","name":"db","ports":[{"protocol":"TCP","port":80}]}`
	)
	held := func(key, services string) string {
		return `{"spec":{"address":"10.0.0.1","sharingKey":"` + key + `","services":[` + services + `]}}`
	}
	tests := []struct {
		name   string
		ledger string
		shown  []string // Services that show 10.0.0.1
		want   string   // in the only fault
	}{
		{"claimed and shown", held("", web), []string{"web"}, ""},
		{"claimed and not shown yet", held("", web), nil, ""},
		{"shared", held("k", web+","+db), []string{"web", "db"}, ""},
		{"shown and not claimed", held("", db), []string{"web"}, "does not have: 10.0.0.1 of default/web"},
		{"two in the ledger without a key", held("", web+","+db), nil, "without a sharing key"},
		{"two in the ledger on one port", held("k", web+","+rivalOf), nil, "TCP/80 of 10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := ledger.New()
			if err := c.Step(ledger.AllocationPrefix+"metallb-system/10.0.0.1", []byte(tt.ledger)); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.shown {
				if err := c.Step(ledger.ServicePrefix+"default/"+name, showing(t, "10.0.0.1")); err != nil {
					t.Fatal(err)
				}
			}
			c.Judge(1)
			c.Judge(2) // it is said once
			if got := strings.Join(c.Faults, "\n"); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || len(c.Faults) > 1 {
				t.Errorf("faults %q, want one with %q", got, tt.want)
			}
			for _, name := range tt.shown {
				if err := c.Step(ledger.ServicePrefix+"default/"+name, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Step(ledger.AllocationPrefix+"metallb-system/10.0.0.1", nil); err != nil {
				t.Fatal(err)
			}
			if differ := c.Unsettled(); len(differ) != 0 {
				t.Errorf("when all is gone: %q", differ)
			}
		})
	}
}
