package l2

import (
	"log/slog"
	"os"
	"regexp"
	"testing"

	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/netns"
)

// excludeEnv is an expression of interfaces that the announcer process leaves alone, beside lo.
const excludeEnv = "INGOT_TEST_EXCLUDE"

// quietEnv set means that the announcer process does not log each answer.
const quietEnv = "INGOT_TEST_QUIET"

func TestMain(m *testing.M) {
	netns.Main(m, func() netns.Announcer {
		level := new(slog.LevelVar)
		if os.Getenv(quietEnv) == "" {
			level.Set(slog.LevelDebug)
		}
		exclude := []*regexp.Regexp{regexp.MustCompile("^lo$")}
		if e := os.Getenv(excludeEnv); e != "" {
			exclude = append(exclude, regexp.MustCompile(e))
		}
		log := logging.New(os.Stderr, level)
		return New(Options{Log: log, Node: "here", Exclude: exclude, Engine: shared.New(log)})
	})
}
