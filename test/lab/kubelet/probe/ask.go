package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Target is a container that is asked.
type Target struct {
	Host  string // the Pod's address
	Ports []corev1.ContainerPort
	Dial  func(ctx context.Context, network, address string) (net.Conn, error) // from the node
	// Exec runs a command in the container, and returns an error with its output if it fails.
	Exec func(ctx context.Context, command []string) error
}

// Ask asks once, for as long as the probe allows. The error is what a kubelet's event says.
func (t Target) Ask(ctx context.Context, p *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, max(time.Duration(p.TimeoutSeconds), 1)*time.Second)
	defer cancel()
	return t.Do(ctx, p.ProbeHandler)
}

// Do asks once, until ctx ends.
func (t Target) Do(ctx context.Context, h corev1.ProbeHandler) error {
	switch {
	case h.HTTPGet != nil:
		return t.get(ctx, h.HTTPGet)
	case h.TCPSocket != nil:
		port, err := t.port(h.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := t.Dial(ctx, "tcp", net.JoinHostPort(orElse(h.TCPSocket.Host, t.Host), port))
		if err != nil {
			return err
		}
		_ = conn.Close() // it was accepted: that is all
		return nil
	case h.Exec != nil:
		return t.Exec(ctx, h.Exec.Command)
	case h.GRPC != nil:
		return t.health(ctx, h.GRPC)
	}
	return errors.New("missing probe handler")
}

func (t Target) get(ctx context.Context, a *corev1.HTTPGetAction) error {
	port, err := t.port(a.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if a.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	where, err := url.Parse(a.Path)
	if err != nil {
		return err
	}
	where.Scheme, where.Host = scheme, net.JoinHostPort(orElse(a.Host, t.Host), port)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.36")
	request.Header.Set("Accept", "*/*")
	for _, header := range a.HTTPHeaders {
		if header.Name == "Host" {
			request.Host = header.Value
			continue
		}
		request.Header.Set(header.Name, header.Value)
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext: t.Dial, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a kubelet does not know whom to trust
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() || len(via) >= 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusBadRequest {
		// What it says is not asked for; reading it lets it finish.
		_, _ = io.CopyN(io.Discard, answer.Body, 10<<10)
		return fmt.Errorf("HTTP probe failed with statuscode: %d", answer.StatusCode)
	}
	return nil
}

// health asks by the protocol of gRPC's health checking.
func (t Target) health(ctx context.Context, a *corev1.GRPCAction) error {
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(t.Host, strconv.Itoa(int(a.Port))),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return t.Dial(ctx, "tcp", address) }))
	if err != nil {
		return err
	}
	defer conn.Close()
	service := ""
	if a.Service != nil {
		service = *a.Service
	}
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("service unhealthy (responded with %q)", answer.GetStatus())
	}
	return nil
}

// port is a number, or that of the container's port of the name.
func (t Target) port(p intstr.IntOrString) (string, error) {
	if p.Type == intstr.Int {
		return strconv.Itoa(p.IntValue()), nil
	}
	for _, port := range t.Ports {
		if port.Name == p.StrVal {
			return strconv.Itoa(int(port.ContainerPort)), nil
		}
	}
	return "", fmt.Errorf("couldn't find port: %v", p.StrVal)
}

func orElse(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}
