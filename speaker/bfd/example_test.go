package bfd_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/speaker/bfd/wire"
)

// The path to a router is watched, and the router told when that ends on purpose.
func Example() {
	transport := wire.New(slog.Default())
	defer transport.Close()
	engine := bfd.New(bfd.Options{Transport: transport, Log: slog.Default()})
	defer engine.Close()

	session, err := engine.Open(
		bfd.Key{Remote: netip.MustParseAddr("192.0.2.1")},
		bfd.Parameters{ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond, DetectMultiplier: 3},
		func(s bfd.Status) {
			switch {
			case s.State == bfd.Up:
				fmt.Println("failures are detected within", s.DetectionTime)
			case s.Failed:
				fmt.Println("the path is down:", s.Diagnostic)
			}
		})
	if err != nil {
		log.Fatal(err)
	}
	<-session.AdminDown()
}
