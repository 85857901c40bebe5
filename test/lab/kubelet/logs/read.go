package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// period is how often a log that is followed is looked at.
const period = 100 * time.Millisecond

// Options say what of a log to read.
type Options struct {
	Tail       *int64 // so many last lines; nil: all
	Limit      *int64 // so many bytes at most
	Since      time.Time
	Timestamps bool
	Stream     string // stdout or stderr alone; empty: both
	// Ended says whether the container has ended; what is followed is read until it has. Nil: only what is there is read.
	Ended func() bool
}

// Read writes the text of a log as it was written by the container.
func Read(ctx context.Context, path string, o Options, to io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if o.Tail != nil {
		if err := seekTail(file, *o.Tail); err != nil {
			return err
		}
	}
	if o.Limit != nil {
		to = &limited{to, *o.Limit}
	}
	lines := bufio.NewReader(file)
	var line []byte
	ended := false
	for {
		piece, err := lines.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			if err := o.show(line, to); err != nil {
				if errors.Is(err, errLimit) {
					return nil
				}
				return err
			}
			line = line[:0]
		case !errors.Is(err, io.EOF):
			return err
		case o.Ended == nil || ended:
			return nil
		default:
			// What it wrote last is there once it has ended.
			if ended = o.Ended(); ended {
				continue
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(period):
			}
		}
	}
}

// show writes one line, unless it is older than asked for. What is no line of a log is passed over.
func (o Options) show(line []byte, to io.Writer) error {
	fields := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 4)
	if len(fields) != 4 {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, string(fields[0]))
	if err != nil || at.Before(o.Since) || o.Stream != "" && o.Stream != string(fields[1]) {
		return nil
	}
	var out []byte
	if o.Timestamps {
		out = append(append(out, fields[0]...), ' ')
	}
	out = append(out, fields[3]...)
	if string(fields[2]) == "F" {
		out = append(out, '\n')
	}
	_, err = to.Write(out)
	return err
}

// seekTail goes to where the last n lines begin.
func seekTail(file *os.File, n int64) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	// The end of the last line is none between lines.
	for at, found := end, int64(-1); at > 0; {
		size := min(at, int64(len(block)))
		at -= size
		if _, err := file.ReadAt(block[:size], at); err != nil {
			return err
		}
		for i := size - 1; i >= 0; i-- {
			if block[i] != '\n' {
				continue
			}
			if found++; found == n {
				_, err := file.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	if n == 0 {
		return nil
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

var errLimit = errors.New("as much as was asked for")

// limited is a writer that takes so many bytes.
type limited struct {
	to   io.Writer
	left int64
}

func (l *limited) Write(text []byte) (int, error) {
	whole := len(text)
	if int64(whole) > l.left {
		text = text[:l.left]
	}
	n, err := l.to.Write(text)
	l.left -= int64(n)
	if err == nil && n < whole {
		err = errLimit
	}
	return n, err
}
