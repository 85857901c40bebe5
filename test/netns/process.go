package netns

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// helperEnv is set in a test binary that shall be an announcer instead of running tests.
const helperEnv = "INGOT_TEST_ANNOUNCER"

// Announcer is what speaker/bgp and speaker/l2 have in common.
type Announcer interface {
	Apply(ctx context.Context, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult
	Changed() <-chan struct{}
	Report(r *ingotv1.Report)
	Run(ctx context.Context) error
}

// Main is TestMain's body for a package whose announcer is tested as a process of its own: sockets that it opens from
// whatever goroutine are then in the right namespace. In such a process Main serves an announcer over standard
// input and output; otherwise it runs the tests.
func Main(m *testing.M, announcer func() Announcer) {
	if os.Getenv(helperEnv) == "" {
		os.Exit(m.Run())
	}
	if err := serve(announcer(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve applies each update that it reads, and writes an ack for each, and a report for each change. A full_begin means
// that the items come from saved state.
func serve(a Announcer, in io.Reader, out io.Writer) error {
	failed := make(chan error, 3)
	go func() { failed <- a.Run(context.Background()) }()
	// Apply and Report are never called at the same time, and what is said last is newest.
	var mu sync.Mutex
	say := func(ask func() *ingotv1.ConnectRequest) error {
		mu.Lock()
		defer mu.Unlock()
		return write(out, ask())
	}
	go func() {
		for range a.Changed() {
			err := say(func() *ingotv1.ConnectRequest {
				var r ingotv1.Report
				a.Report(&r)
				return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: &r}}
			})
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		lines := bufio.NewReader(in)
		for {
			var u ingotv1.Update
			if err := read(lines, &u); err != nil {
				failed <- err
				return
			}
			err := say(func() *ingotv1.ConnectRequest {
				ack := &ingotv1.Ack{Nonce: u.GetNonce(), Results: a.Apply(context.Background(), u.GetUpserts(), u.GetFullBegin())}
				return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Ack{Ack: ack}}
			})
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

func write(w io.Writer, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, base64.StdEncoding.EncodeToString(b))
	return err
}

func read(r *bufio.Reader, m proto.Message) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(line[:len(line)-1])
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, m)
}

// Process is an announcer in a namespace.
type Process struct {
	// PID is the process's identifier.
	PID int

	input io.Writer
	kill  func()
	acks  chan *ingotv1.Ack

	mu      sync.Mutex
	report  *ingotv1.Report
	results map[string]*ingotv1.ItemResult
}

// Start runs the test binary's announcer in the namespace. Its log is shown when the test fails.
func (n Namespace) Start(t testing.TB, env ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.Command(ctx, self)
	cmd.Env = append(append(os.Environ(), helperEnv+"=1"), env...)
	log, err := os.CreateTemp(t.TempDir(), "announcer")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{
		PID:     cmd.Process.Pid,
		input:   input,
		acks:    make(chan *ingotv1.Ack, 1),
		report:  &ingotv1.Report{},
		results: make(map[string]*ingotv1.ItemResult),
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(bufio.NewReader(output))
	}()
	p.kill = sync.OnceFunc(func() {
		cancel() // SIGKILL
		<-read
		// An error only says that it was killed.
		_ = cmd.Wait()
		if t.Failed() {
			if text, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("log of the announcer in %s:\n%s", n.name, text)
			}
		}
	})
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() { p.kill() }

func (p *Process) read(r *bufio.Reader) {
	defer close(p.acks)
	for {
		var m ingotv1.ConnectRequest
		if err := read(r, &m); err != nil {
			return
		}
		p.mu.Lock()
		results := m.GetAck().GetResults()
		if report := m.GetReport(); report != nil {
			p.report = report
			results = report.GetResults()
		}
		for _, result := range results {
			p.results[result.GetId()] = result
		}
		p.mu.Unlock()
		if ack := m.GetAck(); ack != nil {
			p.acks <- ack
		}
	}
}

// Apply gives the announcer its complete set of items and returns the results.
func (p *Process) Apply(t testing.TB, items ...*ingotv1.Item) []*ingotv1.ItemResult {
	t.Helper()
	return p.apply(t, &ingotv1.Update{Upserts: items})
}

// Restore is Apply with items from saved state.
func (p *Process) Restore(t testing.TB, items ...*ingotv1.Item) []*ingotv1.ItemResult {
	t.Helper()
	return p.apply(t, &ingotv1.Update{Upserts: items, FullBegin: true})
}

func (p *Process) apply(t testing.TB, u *ingotv1.Update) []*ingotv1.ItemResult {
	t.Helper()
	if err := write(p.input, u); err != nil {
		t.Fatal(err)
	}
	ack, ok := <-p.acks
	if !ok {
		t.Fatal("the announcer died")
	}
	return ack.GetResults()
}

// Report returns the last report.
func (p *Process) Report() *ingotv1.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report
}

// Result returns what was last said of an item.
func (p *Process) Result(id string) *ingotv1.ItemResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.results[id]
}
