package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/apiserver/rules"
	"github.com/ingot-lb/ingot/apiserver/server"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/controller/election"
	"github.com/ingot-lb/ingot/controller/report"
	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

const system = "metallb-system"

// The environment of a process of this test binary that has a part to play.
const (
	envRole   = "INGOT_TEST_ROLE"
	envEtcd   = "INGOT_TEST_ETCD"
	envKube   = "INGOT_TEST_KUBE"   // URL of the kube-apiserver
	envToken  = "INGOT_TEST_TOKEN"  // of its administrator
	envLedger = "INGOT_TEST_LEDGER" // address of the aggregated API
	envID     = "INGOT_TEST_ID"
)

// The parts.
const (
	apiserver = "apiserver"
	// elected controllers work while they have the Lease; rivals whenever they like; a blind one asks no ledger.
	elected = "elected"
	rival   = "rival"
	blind   = "blind"
)

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(envRole); role {
	case "":
		os.Exit(m.Run())
	case apiserver:
		err = serve(context.Background(), os.Getenv(envEtcd))
	default:
		err = control(context.Background(), role)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1) // it goes on until it is killed
}

// serve is the aggregated API server for whoever comes. It takes connections from file descriptor 3.
func serve(ctx context.Context, endpoint string) error {
	judge := rules.NewJudge(nil)
	s, err := store.Open(ctx, store.Options{
		Servers: []string{endpoint}, Scheme: install.Scheme, Codec: install.StorageCodec(), StorageVersion: install.StorageVersion(install.Scheme),
		Check: func(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList {
			errs, _ := judge.Check(c, rules.Change{Resource: resource, Old: old, New: new})
			return errs
		},
	})
	if err != nil {
		return err
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
	config := &server.Config{Store: s, Judge: judge, Namespace: system, Listener: l, Cert: cert,
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

func kubeConfig() *rest.Config {
	return &rest.Config{Host: os.Getenv(envKube), BearerToken: os.Getenv(envToken), TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
}

func poolClient(address string) (rest.Interface, error) {
	config := &rest.Config{Host: "https://" + address, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return service.NewPoolClient(config, hc)
}

// control is the controller.
func control(ctx context.Context, role string) error {
	client, err := kubernetes.NewForConfig(service.Compact(kubeConfig()))
	if err != nil {
		return err
	}
	pools, err := poolClient(os.Getenv(envLedger))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	o := service.Options{Client: client, Pools: pools, Ledger: service.NewLedger(pools, system), Namespace: system, Log: log}
	if role == blind {
		o.Ledger = yes{}
	}
	c := service.New(o)
	if role == elected {
		return (&election.Election{Lease: report.Lease, Client: client, Namespace: system, Identity: os.Getenv(envID), Log: log}).Run(ctx, c.Run)
	}
	for {
		term, end := context.WithTimeout(ctx, time.Second+rand.N(2*time.Second))
		err := c.Run(term)
		end()
		if err := errors.Join(err, backoff.Sleep(ctx, rand.N(300*time.Millisecond))); err != nil {
			return err
		}
	}
}

// yes is a ledger that grants everything and keeps nothing.
type yes struct{}

func (yes) Claim(_ context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	status := &v1beta1.IPAllocationClaimStatus{Term: 1, Established: true, Allocations: -1}
	for range request.Services {
		status.Services = append(status.Services, v1beta1.ServiceClaimResult{Result: v1beta1.ClaimGranted})
	}
	return status, nil
}

func (yes) List(context.Context) ([]v1beta1.IPAllocation, error) { return nil, nil }

// process plays a part until it is killed.
type process struct {
	t    testing.TB
	name string
	env  []string
	file *os.File // a listener that outlives it; nil for none
	log  string

	cmd    *exec.Cmd
	exited chan struct{}
}

func startProcess(t testing.TB, name string, file *os.File, env ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, env: append(os.Environ(), env...), file: file, log: filepath.Join(t.TempDir(), "log")}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if said, err := os.ReadFile(p.log); err == nil && t.Failed() {
			t.Logf("%s said at last:\n%s", name, said[max(0, len(said)-4000):])
		}
	})
	return p
}

func (p *process) start() {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr, cmd.Stdout = p.env, log, log
	if p.file != nil {
		cmd.ExtraFiles = []*os.File{p.file}
	}
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

// kill ends it at once, in whatever state it is.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended
	<-p.exited
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%v to %s: %v", s, p.name, err)
	}
}

// listener is one that processes inherit: who connects while there is none is served by the next.
func listener(t testing.TB) (address string, file *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if file, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(file.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), file
}
