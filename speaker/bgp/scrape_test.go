package bgp

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// BenchmarkScrape reads the metrics of four sessions with 10,000 routes each, on real gobgp servers.
func BenchmarkScrape(b *testing.B) {
	const peers, routes = 4, 10_000
	registry := prometheus.NewRegistry()
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Registerer: registry})
	items := []*ingotv1.Item{guardItem(routes, "198.18.0.0/15")}
	var names []string
	for i := range peers {
		name := fmt.Sprintf("tor%d", i)
		names = append(names, name)
		items = append(items, sessionItem(name, func(s *ingotv1.BgpSession) { s.Address = fmt.Sprintf("127.0.9.%d", i+1) }))
	}
	for i := range routes {
		items = append(items, routeItem(fmt.Sprintf("198.18.%d.%d/32", i/256, i%256), to(names...)))
	}
	for _, result := range s.Apply(b.Context(), items, false) {
		if result.GetStatus() != ingotv1.ItemResult_STATUS_APPLIED {
			b.Fatal(result)
		}
	}
	defer s.Apply(b.Context(), nil, false)
	for b.Loop() {
		for _, session := range s.list() {
			session.mu.Lock()
			session.reached.read = session.since.AddDate(-1, 0, 0) // as if nobody had asked for long
			session.mu.Unlock()
		}
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
