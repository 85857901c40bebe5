// Package logs writes and reads the logs of containers in the format of Kubernetes' container runtime interface: a line has the
// time, the stream (stdout or stderr), F or P (the line goes on in the next one) and the text.
package logs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// timeFormat is RFC 3339 with nanoseconds, all of them.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// longest is where lines are broken, as container runtimes do.
const longest = 16 << 10

// File is a container's log while it runs.
type File struct {
	Stdout, Stderr *os.File // for the container; close them once it has them

	file    *os.File
	writing sync.Mutex
	copies  sync.WaitGroup
	done    chan struct{}
}

// Create makes a log that ends when nobody writes to its streams any more.
func Create(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	f := &File{file: file, done: make(chan struct{})}
	var readers [2]*os.File
	for i, stream := range []**os.File{&f.Stdout, &f.Stderr} {
		if readers[i], *stream, err = os.Pipe(); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	for i, name := range []string{"stdout", "stderr"} {
		f.copies.Go(func() { f.copy(readers[i], name) })
	}
	go func() {
		f.copies.Wait()
		_ = file.Close() // every line has been written, or was told to be lost
		close(f.done)
	}()
	return f, nil
}

// Done is closed when all that was written has been logged.
func (f *File) Done() <-chan struct{} { return f.done }

// Whole says whether all that was written has been logged.
func (f *File) Whole() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// CloseStreams lets go of this process's ends.
func (f *File) CloseStreams() error { return errors.Join(f.Stdout.Close(), f.Stderr.Close()) }

func (f *File) copy(from *os.File, stream string) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, longest)
	for {
		text, err := lines.ReadSlice('\n')
		tag := "P"
		if n := len(text); n > 0 && text[n-1] == '\n' {
			tag, text = "F", text[:n-1]
		}
		if len(text) > 0 || tag == "F" {
			f.write(fmt.Appendf(nil, "%s %s %s %s\n", time.Now().UTC().Format(timeFormat), stream, tag, text))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// write loses what a full disk does not take: the container must not stand still for it.
func (f *File) write(line []byte) {
	f.writing.Lock()
	defer f.writing.Unlock()
	_, _ = f.file.Write(line)
}
