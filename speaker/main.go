// Program speaker announces load balancer addresses from one node: by BGP to routers, by ARP to the LAN. It takes
// its orders from the apiserver's stream, and goes on without it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/ingot-lb/ingot/speaker/show"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if filepath.Base(os.Args[0]) == "vtysh" { // as in the containers of FRR
		if err := show.VTYSH(ctx, os.Stdout, os.Args[1:], defaultSocket()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "speaker:", err)
		os.Exit(1)
	}
}
