package bgp

import (
	"cmp"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/netns"
)

func TestMain(m *testing.M) {
	// They mostly wait for timers of routers.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	netns.Main(m, func() netns.Announcer {
		level := new(slog.LevelVar)
		level.Set(slog.LevelDebug)
		// How long an announcer drains sessions.
		drainTime, err := time.ParseDuration(cmp.Or(os.Getenv("INGOT_TEST_DRAIN_TIME"), "0s"))
		if err != nil {
			panic(err)
		}
		return New(Options{Node: "node1", Log: logging.New(os.Stderr, level), DrainTime: drainTime})
	})
}
