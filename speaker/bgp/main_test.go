package bgp

import (
	"log/slog"
	"os"
	"testing"

	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/netns"
)

func TestMain(m *testing.M) {
	netns.Main(m, func() netns.Announcer {
		level := new(slog.LevelVar)
		level.Set(slog.LevelDebug)
		return New(Options{Node: "node1", Log: logging.New(os.Stderr, level)})
	})
}
