package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestThresholds reads: of these answers (+ and -), this is the result after each (S, F and ?), in capitals where it changed.
func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		success, failure int32
		initial          Result
		answers, want    string
	}{
		{1, 3, Success, "++--", "ssss"},
		{1, 3, Success, "--+---", "sssssF"},
		{1, 3, Success, "----+", "ssFfS"},
		{2, 1, Failure, "+++", "fSs"},
		{2, 1, Failure, "+-++-", "fffSF"},
		{1, 2, Unknown, "-+", "?S"},
		{1, 2, Unknown, "--", "?F"},
		{0, 0, Failure, "+-", "SF"},
	} {
		tracker := NewTracker(&corev1.Probe{SuccessThreshold: c.success, FailureThreshold: c.failure}, c.initial)
		var got strings.Builder
		for _, answer := range c.answers {
			changed := tracker.Observe(answer == '+')
			letter := map[Result]string{Unknown: "?", Success: "s", Failure: "f"}[tracker.Result()]
			if changed {
				letter = strings.ToUpper(letter)
			}
			got.WriteString(letter)
		}
		if got.String() != c.want {
			t.Errorf("%d/%d from %d: %s gives %s, want %s", c.success, c.failure, c.initial, c.answers, got.String(), c.want)
		}
	}
}

func TestAsksAfterTheDelayAndEveryPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		began := time.Now()
		var asked []time.Duration
		var answers []Answer
		down := errors.New("down")
		Run(ctx, &corev1.Probe{InitialDelaySeconds: 4, PeriodSeconds: 10, FailureThreshold: 2}, Success, func(context.Context) error {
			asked = append(asked, time.Since(began))
			time.Sleep(time.Second)
			return down
		}, func(a Answer) { answers = append(answers, a) })
		if diff := cmp.Diff([]time.Duration{4 * time.Second, 14 * time.Second, 24 * time.Second}, asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		want := []Answer{{down, Success, false}, {down, Failure, true}}
		if diff := cmp.Diff(want, answers[:2], cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

func TestHTTP(t *testing.T) {
	var seen http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		case "/bad":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	plain, tls := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer tls.Close()
	for _, c := range []struct {
		server *httptest.Server
		scheme corev1.URIScheme
		path   string
		want   string
	}{
		{plain, corev1.URISchemeHTTP, "/ok", ""}, {plain, "", "ok?x=y", ""}, {plain, corev1.URISchemeHTTP, "/moved", ""},
		{plain, corev1.URISchemeHTTP, "/away", ""}, {tls, corev1.URISchemeHTTPS, "/ok", ""},
		{plain, corev1.URISchemeHTTP, "/bad", "HTTP probe failed with statuscode: 503"},
	} {
		err := target(c.server.Listener).Ask(t.Context(), &corev1.Probe{TimeoutSeconds: 20, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: c.path, Port: intstr.FromString("web"), Scheme: c.scheme, HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Test", Value: "1"}},
		}}})
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s %s: %v", c.scheme, c.path, err)
		}
	}
	if seen.Get("X-Test") != "1" || !strings.HasPrefix(seen.Get("User-Agent"), "kube-probe/") {
		t.Errorf("headers: %v", seen)
	}
}

// target is what listens there, its port by the name web.
func target(l net.Listener) Target {
	address := l.Addr().(*net.TCPAddr)
	return Target{
		Host: address.IP.String(), Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: int32(address.Port)}},
		Dial: (&net.Dialer{}).DialContext,
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there := target(l)
	defer l.Close()
	probe := &corev1.Probe{TimeoutSeconds: 20, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}}
	if err := there.Ask(t.Context(), probe); err != nil {
		t.Error(err)
	}
	// The same port, where nobody listens on this machine.
	probe.TCPSocket.Host = "127.112.114.111"
	if err := there.Ask(t.Context(), probe); err == nil {
		t.Error("a closed port is open")
	}
	probe.TCPSocket.Port = intstr.FromString("none")
	if err := there.Ask(t.Context(), probe); err == nil || err.Error() != "couldn't find port: none" {
		t.Errorf("a port that has no name: %v", err)
	}
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	service := "s"
	port, err := strconv.Atoi(strings.TrimPrefix(l.Addr().String(), "127.0.0.1:"))
	if err != nil {
		t.Fatal(err)
	}
	probe := &corev1.Probe{TimeoutSeconds: 10, ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(port), Service: &service}}}
	for _, status := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		state.SetServingStatus(service, status)
		if err := target(l).Ask(t.Context(), probe); (err == nil) != (status == healthpb.HealthCheckResponse_SERVING) {
			t.Errorf("%v: %v", status, err)
		}
	}
}
