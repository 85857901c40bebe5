package introspect

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/logging"
)

// How long a changed log level stays, by default and at most.
const (
	defaultLevelTime = 10 * time.Minute
	maxLevelTime     = time.Hour
)

// Level is a log level that returns to what was configured after a while, so that nobody has to remember it.
type Level struct {
	level      *slog.LevelVar
	configured string

	mu     sync.Mutex
	revert *time.Timer
}

// NewLevel sets level to configured, one of logging.Levels.
func NewLevel(level *slog.LevelVar, configured string) (*Level, error) {
	l, err := logging.ParseLevel(configured)
	if err != nil {
		return nil, err
	}
	level.Set(l)
	return &Level{level: level, configured: configured}, nil
}

// Set changes the level for d, and returns the one that will return and when. The error says what is wrong with the
// arguments.
func (l *Level) Set(name string, d time.Duration, now time.Time) (previous string, until time.Time, err error) {
	level, err := logging.ParseLevel(name)
	if err != nil {
		return "", time.Time{}, err
	}
	if d <= 0 || d > maxLevelTime {
		return "", time.Time{}, fmt.Errorf("duration %v is not between 0 and %v", d, maxLevelTime)
	}
	configured, err := logging.ParseLevel(l.configured)
	if err != nil {
		return "", time.Time{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revert != nil {
		l.revert.Stop()
	}
	l.level.Set(level)
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.revert == mine { // not overtaken by a later Set
			l.level.Set(configured)
		}
	})
	l.revert = mine
	return l.configured, now.Add(d), nil
}
