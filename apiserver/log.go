package main

import (
	"log/slog"
	"os"

	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/logging/kubelog"
)

// newLog returns the program's log, which the libraries write to as well, and its level.
func newLog(name string) (*slog.Logger, *logging.Level, error) {
	level, err := logging.NewLevel(name)
	if err != nil {
		return nil, nil, err
	}
	log := logging.New(os.Stderr, level)
	level.Tell(log)
	logging.Libraries(log)
	kubelog.Adopt(log, level)
	return log, level, nil
}
