package kubelet_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// report is what a program in a container finds.
type report struct {
	PID, User, Group int
	Groups           []int
	Capabilities     string
	NoNewPrivileges  bool
	Keys             bool // keyctl(2) is allowed
	Hostname, Dir    string
	Args, Env        []string
	RootWritable     bool
}

// program is what runs in containers. Its first argument says what it does.
func program(args []string) {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	switch args[0] {
	case "report":
		fail(json.NewEncoder(os.Stdout).Encode(find(args)))
	case "wait":
		fmt.Println("waiting")
		<-terminated
	case "stubborn":
		fmt.Println("waiting")
		for range terminated {
			fmt.Println("no")
		}
	case "exit":
		fmt.Println("exiting with", args[1])
		fmt.Fprintln(os.Stderr, "complaining")
		if len(args) > 2 {
			fail(os.WriteFile("/dev/termination-log", []byte(args[2]), 0))
		}
		code, err := strconv.Atoi(args[1])
		fail(err)
		os.Exit(code)
	case "serve": // ADDRESS FILE: 200 as long as FILE is there
		go func() { <-terminated; os.Exit(0) }()
		fail(http.ListenAndServe(args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, err := os.Stat(args[2]); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})))
	case "write": // FILE TEXT; an error is an exit status
		if err := os.WriteFile(args[1], []byte(args[2]), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	case "remove":
		fail(os.Remove(args[1]))
	case "read": // FILE, or standard input
		in := os.Stdin
		if len(args) > 1 {
			var err error
			if in, err = os.Open(args[1]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		_, err := io.Copy(os.Stdout, in)
		fail(err)
	case "stat": // FILE: mode, user and group
		info, err := os.Stat(args[1])
		fail(err)
		s := info.Sys().(*syscall.Stat_t)
		fmt.Printf("%v %d %d\n", info.Mode(), s.Uid, s.Gid)
	case "terminal": // after a line of input
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fail(err)
		info, err := os.Stdin.Stat()
		fail(err)
		fmt.Println("terminal:", info.Mode()&os.ModeCharDevice != 0)
	}
	os.Exit(0)
}

func find(args []string) report {
	r := report{PID: os.Getpid(), User: os.Getuid(), Group: os.Getgid(), Args: args, Env: os.Environ()}
	var err error
	r.Groups, err = os.Getgroups()
	fail(err)
	r.Hostname, err = os.Hostname()
	fail(err)
	r.Dir, err = os.Getwd()
	fail(err)
	status, err := os.ReadFile("/proc/self/status")
	fail(err)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "CapEff":
			r.Capabilities = strings.TrimSpace(value)
		case "NoNewPrivs":
			r.NoNewPrivileges = strings.TrimSpace(value) == "1"
		}
	}
	_, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	r.Keys = !errors.Is(err, unix.EPERM)
	r.RootWritable = os.WriteFile("/tmp/x", nil, 0o600) == nil
	return r
}
