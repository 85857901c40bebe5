package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// embeddedEtcd is a one-member etcd in this process that only this process can reach.
type embeddedEtcd struct {
	etcd     *embed.Etcd
	fate     *startFate
	endpoint string
	lock     *os.File
	// made is the directory that etcd made, if it was not there before; abandoned is to be removed at the end.
	made, abandoned string
	// socketDir is removed at the end, when the socket could not be put into the data directory.
	socketDir string
}

// quotaBytes is when etcd stops taking writes. Ten thousand objects with five minutes of history need a tenth.
const quotaBytes = 2 << 30

// maxSocketPath is what Linux permits as the name of a unix socket, with some air.
const maxSocketPath = 100

// startEmbedded starts etcd on dir. It listens on a unix socket in a directory that only our user may enter and
// nowhere else, so that no port of a host network reaches the configuration.
func startEmbedded(ctx context.Context, dir string, noFsync bool, log *slog.Logger) (_ *embeddedEtcd, err error) {
	if dir == "" {
		return nil, errors.New("a data directory is needed to embed etcd")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	e := &embeddedEtcd{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	socket, err := e.socketPath(dir)
	if err != nil {
		return nil, err
	}
	e.endpoint = "unix://" + socket

	member := filepath.Join(dir, "etcd")
	if _, err := os.Stat(member); errors.Is(err, fs.ErrNotExist) {
		e.made = member
	}
	e.fate = newStartFate()
	if e.etcd, err = e.fate.start(ctx, embeddedConfig(member, socket, noFsync, e.fate.logger(log))); err != nil {
		return nil, fmt.Errorf("etcd does not start on %s; if it is damaged, restore it from a backup, or move it "+
			"away to begin with an empty configuration and then run \"apiserver adopt\": %w", dir, err)
	}
	select {
	case <-e.etcd.Server.ReadyNotify():
		return e, nil
	case err := <-e.etcd.Err():
		return nil, fmt.Errorf("etcd on %s: %w", dir, err)
	case <-e.etcd.Server.StopNotify():
		return nil, fmt.Errorf("etcd on %s stopped while it was starting", dir)
	case <-ctx.Done():
		return nil, fmt.Errorf("etcd on %s is not ready: %w", dir, ctx.Err())
	}
}

func embeddedConfig(dir, socket string, noFsync bool, log *zap.Logger) *embed.Config {
	// Advertised URLs are part of the member's record; nobody uses them in a cluster of one.
	nowhere := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg := embed.NewConfig()
	cfg.Name = "ingot"
	cfg.Dir = dir
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Path: socket}}
	cfg.AdvertiseClientUrls = []url.URL{nowhere}
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{nowhere}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.EnableGRPCGateway = false
	cfg.QuotaBackendBytes = quotaBytes
	cfg.UnsafeNoFsync = noFsync
	// A write by one Service must not stall the whole process for long on a slow disk; etcd only warns above.
	cfg.WarningApplyDuration = time.Second
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	return cfg
}

// lockDir takes the directory for this process. etcd's own lock waits for ever, and silently.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another process uses it; with more than one replica, use --etcd-servers")
	}
	return nil, errors.Join(fmt.Errorf("lock the data directory %s: %w", dir, err), f.Close())
}

func (e *embeddedEtcd) socketPath(dir string) (string, error) {
	run := filepath.Join(dir, "run")
	if p := filepath.Join(run, "etcd.sock"); len(p) <= maxSocketPath {
		if err := os.MkdirAll(run, 0o700); err != nil {
			return "", fmt.Errorf("directory for etcd's socket: %w", err)
		}
		return p, nil
	}
	tmp, err := os.MkdirTemp("", "ingot-etcd-") // mode 0700
	if err != nil {
		return "", fmt.Errorf("directory for etcd's socket: %w", err)
	}
	e.socketDir = tmp
	return filepath.Join(tmp, "etcd.sock"), nil
}

// abandon has close leave the directory as it was found: nothing was stored, and somebody may put a copy of a store
// there.
func (e *embeddedEtcd) abandon() {
	if e.made != "" {
		e.abandoned = e.made
	}
}

func (e *embeddedEtcd) close() error {
	var errs []error
	if e.etcd != nil {
		e.fate.ending.Store(true)
		e.etcd.Close()
	}
	if e.abandoned != "" {
		errs = append(errs, os.RemoveAll(e.abandoned))
	}
	if e.socketDir != "" {
		errs = append(errs, os.RemoveAll(e.socketDir))
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}
