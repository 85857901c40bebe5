package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

const (
	// roleEnv makes a test binary something else than tests.
	roleEnv = "INGOT_TEST_ROLE"
	// coreEnv is the core that it keeps busy.
	coreEnv = "INGOT_TEST_CORE"
)

func TestMain(m *testing.M) {
	roles := map[string]func() error{"engine": serve, "spin": spin}
	role := roles[os.Getenv(roleEnv)]
	if role == nil {
		netns.Inside(m)
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spin keeps one core busy, as any process does: what the one that started it asked the scheduler for is not for it.
func spin() error {
	runtime.LockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0); err != nil {
		return err
	}
	core, err := strconv.Atoi(os.Getenv(coreEnv))
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n < 0 {
			panic("it takes centuries to count that far")
		}
	}
}

// job is what an engine's process is told on standard input.
type job struct {
	Keys       []bfd.Key
	Parameters bfd.Parameters
}

// tally is what has become of an engine's sessions.
type tally struct {
	Up, Downs, Packets int
	Echoes             int           // echo packets that came back
	Judged             int           // downs because nothing was heard, not because the neighbour said so
	CPU                time.Duration // of the whole process
}

// engine is one with many sessions.
type engine struct {
	*bfd.Engine
	transport *Transport
	sessions  []*bfd.Session
	judged    atomic.Int64
}

func newEngine(j job) (*engine, error) {
	w := New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	e := &engine{Engine: bfd.New(bfd.Options{Transport: w}), transport: w}
	for _, k := range j.Keys {
		s, err := e.Open(k, j.Parameters, func(s bfd.Status) {
			if s.State == bfd.Down && s.Diagnostic == bfd.ControlDetectionTimeExpired && s.RemoteState == bfd.Up {
				e.judged.Add(1)
			}
		})
		if err != nil {
			return nil, err
		}
		e.sessions = append(e.sessions, s)
	}
	return e, nil
}

func (e *engine) close() {
	e.Close()
	e.transport.Close()
}

func (e *engine) tally() (t tally) {
	for _, s := range e.sessions {
		status := s.Status()
		if status.State == bfd.Up {
			t.Up++
		}
		t.Downs += int(status.Counters.DownEvents)
		t.Echoes += int(status.Counters.EchoReceived)
		t.Packets += int(status.Counters.ControlReceived + status.Counters.ControlSent)
	}
	t.Judged = int(e.judged.Load())
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		t.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return t
}

// serve runs an engine as a process: a job on standard input starts it, and each further line asks for a tally.
func serve() error {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	e, err := newEngine(j)
	if err != nil {
		return err
	}
	defer e.close()
	for {
		if _, err := in.ReadBytes('\n'); err != nil {
			return nil // nobody wants to know any more
		}
		if err := out.Encode(e.tally()); err != nil {
			return err
		}
	}
}

// startEngine runs an engine in a process of its own, in a namespace, with no capabilities but the speaker's, and
// returns what asks it for a tally.
func startEngine(t testing.TB, n netns.Namespace, j job) (ask func() tally) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.Command(ctx, "setpriv", "--bounding-set=-all,+net_admin,+net_raw", self)
	cmd.Env = append(os.Environ(), roleEnv+"=engine")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it says that it was killed
	})
	write, read := json.NewEncoder(in), json.NewDecoder(out)
	if err := write.Encode(j); err != nil {
		t.Fatal(err)
	}
	return func() (got tally) {
		t.Helper()
		if err := write.Encode("tally"); err != nil {
			t.Fatal(err)
		}
		if err := read.Decode(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// busy keeps every core busy with a process of the same priority as this one, until the function that it returns is
// called. Each has a session of its own, so that the kernel counts what it uses as its own ("autogroup"), as with
// processes of different containers.
func busy(t testing.TB) (stop func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var cores unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cores); err != nil {
		t.Fatal(err)
	}
	var wait []func() error
	for core, left := 0, cores.Count(); left > 0; core++ {
		if !cores.IsSet(core) {
			continue
		}
		left--
		cmd := netns.Here(t).Command(ctx, self)
		cmd.Env = append(os.Environ(), roleEnv+"=spin", coreEnv+"="+strconv.Itoa(core))
		cmd.SysProcAttr.Setsid = true
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait = append(wait, cmd.Wait)
	}
	t.Cleanup(cancel)
	return func() {
		cancel()
		for _, w := range wait {
			_ = w() // it says that it was killed
		}
	}
}

// neighbours gives both ends of a cable many addresses, and returns the keys of the sessions at both ends: each has
// addresses of its own, as FRR wants it.
func neighbours(t testing.TB, device string, here netip.Addr, n netns.Namespace, there netip.Addr, count int) (ours, theirs []bfd.Key) {
	t.Helper()
	var near, far string
	for range count {
		near += fmt.Sprintf("ip addr add %s/16 dev %s && ", here, device)
		far += fmt.Sprintf("ip addr add %s/16 dev eth0 && ", there)
		ours = append(ours, bfd.Key{Local: here, Remote: there})
		theirs = append(theirs, bfd.Key{Local: there, Remote: here})
		here, there = here.Next(), there.Next()
	}
	netns.Here(t).Run(t, "sh", "-c", near+"true")
	n.Run(t, "sh", "-c", far+"true")
	return ours, theirs
}

// allUp waits until all sessions are.
func allUp(t testing.TB, count int, e *engine) {
	t.Helper()
	await.Success(t, "all sessions are Up", func() error {
		if up := e.tally().Up; up != count {
			return fmt.Errorf("%d of %d are", up, count)
		}
		return nil
	})
}
