package store

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// newClient returns a client that connects in the background. It does what k8s.io/apiserver's storage factory
// does for its own clients, which cannot be had from there: keepalives, and latency accounting for audit and
// the request log.
func newClient(endpoints []string, o Options, log *slog.Logger) (*clientv3.Client, error) {
	tlsConfig, err := clientTLS(o)
	if err != nil {
		return nil, fmt.Errorf("etcd client certificates: %w", err)
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		TLS:                  tlsConfig,
		DialTimeout:          20 * time.Second,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		DialOptions:          []grpc.DialOption{grpc.WithUserAgent("ingot-apiserver")},
		Logger:               zap.New(&slogCore{log: log, level: zap.ErrorLevel}),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	c.KV = etcd3.NewETCDLatencyTracker(c.KV)
	return c, nil
}

func clientTLS(o Options) (*tls.Config, error) {
	if len(o.Servers) == 0 || (o.CAFile == "" && o.CertFile == "" && o.KeyFile == "") {
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: o.CertFile, KeyFile: o.KeyFile, TrustedCAFile: o.CAFile}
	return info.ClientConfig()
}
