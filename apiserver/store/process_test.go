package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	certutil "k8s.io/client-go/util/cert"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/server"
	"github.com/ingot-lb/ingot/apiserver/store"
)

// The environment of a process of this test binary that is to be an API server.
const (
	envEtcd  = "INGOT_TEST_APISERVER_ETCD" // where etcd is
	envGuard = "INGOT_TEST_APISERVER_GUARD"
)

// What becomes of the guard in a process.
const (
	guarded      = "whole"
	notComparing = "not compared"
	absent       = "absent"
)

func TestMain(m *testing.M) {
	endpoint := os.Getenv(envEtcd)
	if endpoint == "" {
		os.Exit(m.Run())
	}
	if err := serve(context.Background(), endpoint, os.Getenv(envGuard)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1) // it serves until it is killed
}

// serve is the aggregated API server with no host cluster behind it: whoever comes may do everything. It takes
// connections from file descriptor 3.
func serve(ctx context.Context, endpoint, guard string) error {
	judge := rules.NewJudge(nil)
	s, err := store.Open(ctx, store.Options{
		Servers:        []string{endpoint},
		Scheme:         install.Scheme,
		Codec:          install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme),
		Check: func(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList {
			errs, _ := judge.Check(c, rules.Change{Resource: resource, Old: old, New: new})
			return errs
		},
	})
	if err != nil {
		return err
	}
	switch guard {
	case notComparing:
		store.DropGuardComparisons(s)
	case absent:
		store.WithoutGuard(s)
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := certutil.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		return err
	}
	cert, err := dynamiccertificates.NewStaticCertKeyContent("test", certPEM, keyPEM)
	if err != nil {
		return err
	}
	config := &server.Config{Store: s, Judge: judge, Namespace: "metallb-system", Listener: l, Cert: cert,
		Host: func(_ context.Context, c *genericserver.RecommendedConfig) error {
			c.Authentication.Authenticator = authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
				return &authenticator.Response{User: &user.DefaultInfo{Name: "anyone", Groups: []string{user.SystemPrivilegedGroup}}}, true, nil
			})
			c.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
			return nil
		}}
	completed, err := config.Complete(ctx)
	if err != nil {
		return err
	}
	api, _, err := completed.New()
	if err != nil {
		return err
	}
	return api.PrepareRun().RunWithContext(ctx)
}

// process is an API server that is a process of its own. Its listener outlives it: who connects while it is dead is
// served by the next one.
type process struct {
	t        testing.TB
	listener *net.TCPListener
	file     *os.File
	env      []string
	log      string

	cmd    *exec.Cmd
	exited chan struct{}
}

// startProcess starts an API server on the etcd at endpoint.
func startProcess(t testing.TB, endpoint, guard string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, listener: l.(*net.TCPListener), env: append(os.Environ(), envEtcd+"="+endpoint, envGuard+"="+guard),
		log: filepath.Join(t.TempDir(), "log")}
	if p.file, err = p.listener.File(); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if said, err := os.ReadFile(p.log); err == nil && t.Failed() {
			t.Logf("%s said at last:\n%s", p.address(), said[max(0, len(said)-2000):])
		}
		if err := errors.Join(p.file.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *process) address() string { return p.listener.Addr().String() }

func (p *process) start() {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = p.env, []*os.File{p.file}, log
	// Whatever ends the test, this process ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // how it ended is of no interest: it is always killed
	}(p.exited)
}

// kill ends the process at once; in whatever state it is.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended
	<-p.exited
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%v to %s: %v", s, p.address(), err)
	}
}
