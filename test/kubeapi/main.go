package kubeapi

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// Main runs the tests of a package with one Server for all of them, and returns the exit status for TestMain. prepare puts in what they
// need; what it returns is called when they are through.
func Main(m *testing.M, prepare func(context.Context, *Server) (end func(), err error)) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "a kube-apiserver for the tests:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "kubeapi")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	server, err := Start(ctx, dir)
	if err != nil {
		return fail(err)
	}
	defer server.Stop()
	end, err := prepare(ctx, server)
	if err != nil {
		return fail(err)
	}
	defer end()
	return m.Run()
}
