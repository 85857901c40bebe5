package metallb

import (
	"errors"
	"time"
)

// Duration is a length of time as its author wrote it, such as "90s". It is stored and served as it was written, and
// not as Go would write it ("1m30s"), so that those who compare a manifest with what is served find no difference.
type Duration string

var errDuration = errors.New("must be a number with a unit, such as 90s or 1m30s")

// Parse returns the length of time. Durations of stored objects do parse: the rules see to it.
func (d Duration) Parse() (time.Duration, error) {
	length, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, errDuration
	}
	return length, nil
}
