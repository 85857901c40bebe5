package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/ingot-lb/ingot/test/lab/netns"
)

// get fetches a URL from within a place. Certificates are not checked: what is asked is on the place itself.
func get(ctx context.Context, in *netns.Namespace, url string) (string, error) {
	transport := &http.Transport{
		DialContext:       in.DialContext,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %.300s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// answers is the probe that a URL is answered with 200.
func answers(in *netns.Namespace, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, in, url)
		return err
	}
}

// synced is the probe that kube-proxy has written its rules at least once, in both families.
func synced(in *netns.Namespace) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := get(ctx, in, "http://127.0.0.1:10256/healthz"); err != nil {
			return err
		}
		metrics, err := get(ctx, in, "http://127.0.0.1:10249/metrics")
		if err != nil {
			return err
		}
		return wroteRules(metrics)
	}
}

// wroteRules reads kube-proxy's metrics: the time of the last writing of each family's rules, zero if there was none.
func wroteRules(metrics string) error {
	missing := map[string]bool{"IPv4": true, "IPv6": true}
	for line := range strings.Lines(metrics) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for family := range missing {
			if series == `kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="`+family+`"}` && value != "0" {
				delete(missing, family)
			}
		}
	}
	for family := range missing {
		return fmt.Errorf("kube-proxy has not yet written its %s rules", family)
	}
	return nil
}

// routerUp is the probe that FRR's daemons answer on their sockets and bgpd takes sessions.
func routerUp(in *netns.Namespace, daemons []string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, daemon := range daemons {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", frrDir+"/"+daemon+".vty")
			if err != nil {
				return err
			}
			conn.Close()
		}
		conn, err := in.DialContext(ctx, "tcp", "127.0.0.1:179")
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
