// Package frr runs FRR in a network namespace, as the router that tests speak with.
package frr

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/netns"
)

// Router is a running FRR, which lasts as long as its test.
type Router struct {
	directory string
}

// Start runs zebra and the given daemons of FRR in a namespace, with one configuration for all.
func Start(t testing.TB, n netns.Namespace, config string, daemons ...string) *Router {
	t.Helper()
	// Not t.TempDir, whose parent the user frr cannot enter.
	dir, err := os.MkdirTemp("", "ingot-frr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &Router{dir}
	owner, err := user.Lookup("frr")
	if err != nil {
		t.Fatalf("FRR is needed as the router (test/packages installs it): %v", err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	file := filepath.Join(dir, "frr.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, file} {
		if err := os.Chown(name, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for _, daemon := range append([]string{"zebra"}, daemons...) {
		pidFile := filepath.Join(dir, daemon+".pid")
		args := []string{"/usr/lib/frr/" + daemon, "-d", "-f", file, "-z", filepath.Join(dir, "zserv.api"), "--vty_socket", dir,
			"-P", "0", "--log", "file:" + filepath.Join(dir, daemon+".log"), "-i", pidFile}
		if daemon == "bfdd" {
			args = append(args, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
		}
		n.Run(t, args...)
		outlived := guard(t, pidFile)
		t.Cleanup(func() {
			stop(t, pidFile)
			outlived()
		})
	}
	for _, daemon := range daemons {
		await.Success(t, daemon+" answers", func() error {
			_, err := r.vtysh("-d", daemon, "-c", "show version")
			return err
		})
	}
	return r
}

// Hasten gives the daemons real-time priority: what keeps this machine busy does not hold up a router, which is another.
func (r *Router) Hasten(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.directory, "*.pid"))
	if err != nil || len(files) == 0 {
		t.Fatalf("FRR's pid files: %q, %v", files, err)
	}
	for _, file := range files {
		pid, err := processOf(file)
		if err == nil {
			err = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
		}
		if err != nil {
			t.Fatalf("real-time priority for FRR: %v", err)
		}
	}
}

// processOf returns the process whose id is in the file.
func processOf(pidFile string) (int, error) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// guard kills the process whose id is in the file should this one end without cleaning up: a shell waits for the end of a
// pipe that only this process can write to. The returned function, called once the process has been stopped, ends the shell.
func guard(t testing.TB, pidFile string) func() {
	t.Helper()
	pid, err := processOf(pidFile)
	if err != nil {
		t.Fatalf("FRR's pid file: %v", err)
	}
	shell := exec.Command("sh", "-c", "read -r stopped || kill -9 "+strconv.Itoa(pid))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that ^C does not end it first
	in, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		t.Fatalf("guard FRR: %v", err)
	}
	return func() {
		if _, err := in.Write([]byte("stopped\n")); err != nil {
			t.Errorf("end the guard of FRR: %v", err)
		}
		if err := shell.Wait(); err != nil {
			t.Errorf("the guard of FRR: %v", err)
		}
	}
}

// stop kills the process whose id is in the file, and waits until it is gone.
func stop(t testing.TB, pidFile string) {
	pid, err := processOf(pidFile)
	if err != nil {
		t.Errorf("FRR's pid file: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("kill FRR: %v", err)
	}
	await.True(t, "FRR has ended", func() bool { return syscall.Kill(pid, 0) != nil })
}

// Vtysh runs commands in FRR's shell and returns what they printed.
func (r *Router) Vtysh(commands ...string) (string, error) {
	var args []string
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return r.vtysh(args...)
}

func (r *Router) vtysh(args ...string) (string, error) {
	out, err := exec.Command("vtysh", append([]string{"--vty_socket", r.directory}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("vtysh %q: %w: %s", args, err, out)
	}
	return string(out), nil
}

// Enter enters configuration lines, and ends the test if FRR refuses them.
func (r *Router) Enter(t testing.TB, lines ...string) {
	t.Helper()
	out, err := r.Vtysh(append([]string{"configure terminal"}, lines...)...)
	if err == nil && strings.Contains(out, "%") {
		err = fmt.Errorf("FRR says %s", out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Show runs a show command with JSON output.
func (r *Router) Show(into any, command string) error {
	out, err := r.Vtysh(command)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}
