package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// readings is how often files are read that are exchanged all the while.
const readings = 10

// Read reads files that belong together, as those of a mounted Secret do: all as they were before they were exchanged as a whole, or all
// as they are since. They are read until they are what they were a moment ago, because they may be exchanged between two of them.
func Read(paths ...string) ([][]byte, error) {
	before, failed := readAll(paths)
	for range readings {
		now, err := readAll(paths)
		switch same := slices.EqualFunc(before, now, bytes.Equal) && (failed == nil) == (err == nil); {
		case same && err != nil:
			return nil, err
		case same:
			return now, nil
		}
		before, failed = now, err
	}
	return nil, fmt.Errorf("%s: exchanged all the while", strings.Join(paths, ", "))
}

// readAll has nothing of the files that cannot be read.
func readAll(paths []string) (all [][]byte, err error) {
	for _, path := range paths {
		data, failed := os.ReadFile(path)
		all, err = append(all, data), errors.Join(err, failed)
	}
	return all, err
}
