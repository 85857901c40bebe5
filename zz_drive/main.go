package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bgp"
	"github.com/ingot-lb/ingot/speaker/liveness"
	"github.com/ingot-lb/ingot/speaker/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	level := new(slog.LevelVar)
	level.Set(slog.LevelDebug)
	log := logging.New(os.Stderr, level)
	reg := prometheus.NewRegistry()
	b := bgp.New(bgp.Options{Node: "node1", Log: log, Registerer: reg})
	w := liveness.New(liveness.Options{BGP: b, Log: log, Registerer: reg})
	var mu sync.Mutex
	var last []*ingotv1.ItemResult
	go func() {
		in := bufio.NewScanner(os.Stdin)
		in.Buffer(nil, 64<<20)
		for in.Scan() {
			var u ingotv1.Update
			if err := protojson.Unmarshal(in.Bytes(), &u); err != nil {
				fmt.Fprintln(os.Stderr, "BAD JSON", err)
				continue
			}
			mu.Lock()
			last = w.Apply(ctx, u.GetUpserts(), u.GetFullBegin())
			mu.Unlock()
		}
	}()
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			b.Refresh()
			mu.Lock()
			var r ingotv1.Report
			w.Report(&r)
			if len(r.Results) == 0 {
				r.Results = last
			}
			mu.Unlock()
			text, _ := protojson.Marshal(&r)
			os.WriteFile(os.Args[1]+".tmp", text, 0o644)
			os.Rename(os.Args[1]+".tmp", os.Args[1])
		}
	}()
	go func() { for range w.Changed() {} }()
	w.Run(ctx)
}
