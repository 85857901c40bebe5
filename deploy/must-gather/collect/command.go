package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/deploy/must-gather/archive"
)

// stopping is how long a command's children may keep its output open once it was killed.
const stopping = 2 * time.Second

// answer is what a command left.
type answer struct {
	entry archive.Entry
	out   []byte
	// late: it was ended for taking too long.
	late bool
}

// run runs a command for at most the time of one step, and keeps at most limit bytes of its output: the last ones if last, which
// suits logs, and otherwise none if there are more.
func (g *Gatherer) run(ctx context.Context, limit int, last bool, argv ...string) answer {
	entry := archive.Entry{Command: shown(argv), Started: time.Now(), Exit: -1}
	if err := ctx.Err(); err != nil {
		entry.Error = "not begun: " + context.Cause(ctx).Error()
		return answer{entry: entry, late: true}
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.StepTimeout)
	defer cancel()
	out, complaint := &bounded{limit: limit, last: last}, &bounded{limit: 4 << 10}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.WaitDelay = stopping
	err := cmd.Run()
	entry.Seconds = time.Since(entry.Started).Seconds()
	if cmd.ProcessState != nil {
		entry.Exit = cmd.ProcessState.ExitCode()
	}
	a := answer{entry: entry, out: out.bytes()}
	switch {
	case ctx.Err() != nil:
		a.late = true
		a.entry.Error = fmt.Sprintf("not done after %s", g.opts.StepTimeout)
		if errors.Is(ctx.Err(), context.Canceled) {
			a.entry.Error = "interrupted"
		}
	case err != nil:
		a.entry.Error = strings.TrimSpace(err.Error() + ": " + strings.TrimSpace(string(complaint.bytes())))
	case out.cut && !last:
		a.out, a.entry.Error = nil, fmt.Sprintf("more than %d bytes", limit)
	case out.cut:
		a.entry.Note = fmt.Sprintf("the last %d bytes", len(a.out))
	}
	return a
}

// shown is a command as a person would type it.
func shown(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		if w == "" || strings.ContainsAny(w, " \t\n\"'$&|;<>()*?[]#~\\`") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

// bounded keeps the first or the last bytes that are written to it, and never refuses any.
type bounded struct {
	buf   bytes.Buffer
	limit int
	last  bool
	cut   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if !b.last {
		if room := b.limit - b.buf.Len(); len(p) > room {
			b.cut, p = true, p[:max(room, 0)]
		}
		b.buf.Write(p)
		return n, nil
	}
	b.buf.Write(p)
	if b.buf.Len() > 2*b.limit {
		b.cut = true
		b.buf.Next(b.buf.Len() - b.limit)
	}
	return n, nil
}

// bytes is what was kept. Of the last bytes it is whole lines, lest the rest of a secret be taken for none.
func (b *bounded) bytes() []byte {
	out := b.buf.Bytes()
	if b.last && len(out) > b.limit {
		b.cut = true
		out = out[len(out)-b.limit:]
	}
	if b.last && b.cut {
		_, out, _ = bytes.Cut(out, []byte("\n"))
	}
	return out
}
