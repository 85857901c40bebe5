package wire

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
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/netns"
)

// frr is a bfdd, with the zebra that it needs, in a namespace.
type frr struct {
	netns.Namespace
	dir string
}

// startFRR runs FRR with sessions: with the keys of its end, over the interface eth0.
func startFRR(t testing.TB, n netns.Namespace, keys []bfd.Key, p bfd.Parameters) frr {
	t.Helper()
	// Not t.TempDir, whose parent the user frr cannot enter.
	dir, err := os.MkdirTemp("", "ingot-frr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := "bfd\n"
	for _, k := range keys {
		config += fmt.Sprintf(" peer %s local-address %s interface eth0\n  detect-multiplier %d\n  receive-interval %d\n  transmit-interval %d\n exit\n",
			k.Remote, k.Local, p.DetectMultiplier, p.ReceiveInterval.Milliseconds(), p.TransmitInterval.Milliseconds())
	}
	owner, err := user.Lookup("frr")
	if err != nil {
		t.Fatalf("FRR is needed as the neighbour (test/packages installs it): %v", err)
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
	f := frr{n, dir}
	for _, daemon := range []string{"zebra", "bfdd"} {
		pidFile := filepath.Join(dir, daemon+".pid")
		args := []string{"/usr/lib/frr/" + daemon, "-d", "-f", file, "-z", filepath.Join(dir, "zserv.api"), "--vty_socket", dir,
			"-P", "0", "--log", "file:" + filepath.Join(dir, daemon+".log"), "-i", pidFile}
		if daemon == "bfdd" {
			args = append(args, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
		}
		n.Run(t, args...)
		t.Cleanup(func() { stop(t, pidFile) })
	}
	return f
}

// stop kills the process whose id is in the file, and waits until it is gone.
func stop(t testing.TB, pidFile string) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Errorf("FRR's pid file: %v", err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Errorf("FRR's pid file: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("kill FRR: %v", err)
	}
	netns.Eventually(t, 5*time.Second, func() error {
		if syscall.Kill(pid, 0) == nil {
			return fmt.Errorf("FRR process %d lives on", pid)
		}
		return nil
	})
}

// tally returns how many of FRR's sessions are up, and how often any went down.
func (f frr) tally(t testing.TB) (got tally) {
	t.Helper()
	var peers []struct {
		Status string `json:"status"`
		Down   int    `json:"session-down"`
	}
	for _, command := range []string{"show bfd peers json", "show bfd peers counters json"} {
		out, err := exec.Command("vtysh", "--vty_socket", f.dir, "-d", "bfdd", "-c", command).Output()
		if err != nil {
			t.Fatalf("vtysh: %v", err)
		}
		if err := json.Unmarshal(out, &peers); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		for _, p := range peers {
			if p.Status == "up" && strings.Contains(command, "counters") == false {
				got.Up++
			}
			if strings.Contains(command, "counters") {
				got.Downs += p.Down
			}
		}
	}
	return got
}
