package server

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd runs an etcd of the test's own and returns its URL and a client. It listens on a socket in a directory: a port that is
// looked for before it is listened on may be somebody else's by then.
func runEtcd(t *testing.T, set func(*embed.Config)) (string, *clientv3.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd") // short, as names of sockets have to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.UnsafeNoFsync = t.TempDir(), "fatal", true
	nowhere := url.URL{Scheme: "http", Host: "localhost:2380"} // is part of the member's record, and of no use
	at := url.URL{Scheme: "unix", Path: filepath.Join(dir, "s")}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{at}, []url.URL{nowhere}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{nowhere}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.EnableGRPCGateway = false
	if set != nil {
		set(cfg)
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{at.String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return at.String(), client
}
