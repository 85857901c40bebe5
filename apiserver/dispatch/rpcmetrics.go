package dispatch

import (
	grpcprometheus "github.com/grpc-ecosystem/go-grpc-prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// rpcMetrics counts calls and messages. The module behind it is archived: nothing but this file knows it, and its
// global registry is not used (research.md section 8).
type rpcMetrics struct {
	collector prometheus.Collector
	stream    grpc.StreamServerInterceptor
	unary     grpc.UnaryServerInterceptor
	register  func(*grpc.Server)
}

// newRPCMetrics counts in metrics of the usual names, told apart from those of other gRPC servers in this process
// by their label. There is no histogram of handling times: a stream's is its life.
func newRPCMetrics() *rpcMetrics {
	m := grpcprometheus.NewServerMetrics(func(o *prometheus.CounterOpts) {
		o.ConstLabels = prometheus.Labels{"component": "dispatch"}
	})
	return &rpcMetrics{
		collector: m,
		stream:    m.StreamServerInterceptor(),
		unary:     m.UnaryServerInterceptor(),
		register:  m.InitializeMetrics,
	}
}
