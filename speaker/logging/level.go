package logging

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// MaxTime is the longest time for which a level can be asked for.
const MaxTime = time.Hour

// Level is the log level of a program while it runs. Three have a say in it: whoever asks for a level for a limited time goes
// before the MetalLB object, and that before the flag of the program.
type Level struct {
	inForce slog.LevelVar

	mu      sync.Mutex
	name    string // in force
	by      string // whose word that is
	flag    string
	object  string // "" where it says nothing
	limited string // "" where nobody asks for one
	until   time.Time
	revert  *time.Timer
	log     *slog.Logger
	hooks   []func(name string)
}

// Whose word a level is.
const (
	byFlag    = "--log-level"
	byObject  = "MetalLB object"
	byRequest = "request"
)

// NewLevel returns the level that a flag says, one of Levels.
func NewLevel(flag string) (*Level, error) {
	l := &Level{name: flag, by: byFlag, flag: flag}
	level, err := ParseLevel(flag)
	if err != nil {
		return nil, err
	}
	l.inForce.Set(level)
	return l, nil
}

// Level implements slog.Leveler.
func (l *Level) Level() slog.Level { return l.inForce.Level() }

// Tell has changes written to log.
func (l *Level) Tell(log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
}

// Each calls hook with the level in force, now and whenever it has changed. A hook must not call l.
func (l *Level) Each(hook func(name string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hooks = append(l.hooks, hook)
	hook(l.name)
}

// InForce is the level in force, whose word it is, and until when; zero: until another word.
func (l *Level) InForce() (name, by string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name, l.by, l.until
}

// Object takes in what the MetalLB object says; "": nothing. A level that is not known, as a later version of the API may
// have, changes nothing and is an error.
func (l *Level) Object(name string) error {
	if name != "" {
		if _, err := ParseLevel(name); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.object = name
	l.settle()
	return nil
}

// Limit changes the level for d, and returns the one that will return, as far as is known now, and when. The error says what
// is wrong with the arguments.
func (l *Level) Limit(name string, d time.Duration, now time.Time) (previous string, until time.Time, err error) {
	if _, err := ParseLevel(name); err != nil {
		return "", time.Time{}, err
	}
	if d <= 0 || d > MaxTime {
		return "", time.Time{}, fmt.Errorf("duration %v is not between 0 and %v", d, MaxTime)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revert != nil {
		l.revert.Stop()
	}
	l.limited, l.until = name, now.Add(d)
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.revert == mine { // not overtaken by a later call
			l.limited, l.until, l.revert = "", time.Time{}, nil
			l.settle()
		}
	})
	l.revert = mine
	l.settle()
	previous, _ = l.lasting()
	return previous, l.until, nil
}

// lasting is the level that is in force while nobody asks for another one. The caller holds mu.
func (l *Level) lasting() (name, by string) {
	if l.object != "" {
		return l.object, byObject
	}
	return l.flag, byFlag
}

// settle puts in force what the three say together. What is told of it is told at the more talkative of the levels before and
// after. The caller holds mu.
func (l *Level) settle() {
	name, by := l.lasting()
	if l.limited != "" {
		name, by = l.limited, byRequest
	}
	before := l.name
	l.name, l.by = name, by
	if name == before {
		return
	}
	to, err := ParseLevel(name)
	if err != nil {
		return // each was parsed when it was taken in
	}
	louder := to < l.inForce.Level()
	if louder {
		l.inForce.Set(to)
	}
	if l.log != nil {
		l.log.Info("log level changed", "event", "logLevel", "from", before, "to", name, "by", by)
	}
	l.inForce.Set(to)
	for _, hook := range l.hooks {
		hook(name)
	}
}
