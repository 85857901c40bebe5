package deployed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// metricsTLS is deploy/base with the component deploy/metrics-tls.
const metricsTLS = "testdata/metrics-tls"

// metricsOverTLS: each program asks the kube-apiserver whose token it is shown and what its owner may; but speakers do not. Plain HTTP is
// refused, and probes need no token.
func (c cluster) metricsOverTLS(t *testing.T) {
	token := func(of ...string) string {
		return "Authorization: Bearer " + strings.TrimSpace(c.kubectl(t, append([]string{"create", "token", "-n", system}, of...)...))
	}
	reader, other := token("metrics-reader"), token("default")
	elsewhere := token("metrics-reader", "--audience=elsewhere")
	for _, of := range []struct {
		component, port string
		asks            bool
	}{{"apiserver", "7472", true}, {"controller", "7472", true}, {"webhooks", "7472", true}, {"speaker", "7472", false}} {
		address := strings.Fields(c.kubectl(t, "get", "pods", "-n", system, "-l", "component="+of.component, "-o", "jsonpath={.items[*].status.podIP}"))[0]
		status := func(url, header string) (string, error) {
			return c.Exec(t.Context(), "control", "curl", "-sk", "-o", "/dev/null", "--max-time", "10", "-w", "%{http_code}", "-H", header, url)
		}
		for _, ask := range []struct{ url, header, want string }{
			{"https://%s/metrics", "", "401"},
			{"https://%s/metrics", "Authorization: Bearer nobody's", "401"},
			{"https://%s/metrics", elsewhere, "401"},
			{"https://%s/metrics", other, "403"},
			{"https://%s/metrics", reader, "200"},
			{"https://%s/healthz", "", "200"},
			{"https://%s/readyz", "", "200"},
		} {
			want := ask.want
			if !of.asks {
				want = "200"
			}
			url := fmt.Sprintf(ask.url, address+":"+of.port)
			var got string
			// 503 is that the kube-apiserver cannot be asked just now, whose token it is.
			eventually(t, url, func() (err error) {
				if got, err = status(url, ask.header); err == nil && got == "503" {
					err = errors.New("it cannot tell yet")
				}
				return err
			})
			if got != want {
				t.Errorf("%s: %s with %.25q: %s, want %s", of.component, url, ask.header, got, want)
			}
		}
		// Go's servers answer 400 and close the connection, which curl may notice first.
		if got, _ := status("http://"+address+":"+of.port+"/metrics", reader); got == "200" {
			t.Errorf("%s: plain HTTP is answered", of.component)
		}
	}
}
