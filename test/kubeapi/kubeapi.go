// Package kubeapi runs a real etcd and a real kube-apiserver on loopback for tests that need the behaviour of the
// API rather than of a fake. There is no controller-manager and no node: objects stay as tests write them.
package kubeapi

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// adminToken authenticates a member of system:masters.
const adminToken = "admin"

// Server is an etcd and a kube-apiserver in front of it.
type Server struct {
	dir, binary string
	flags       []string
	etcd        *embed.Etcd
	etcdURL     url.URL
	// etcdPort and port are held until Stop.
	etcdPort, port port

	process *exec.Cmd
	exited  chan struct{}
}

// Start starts both in dir and waits until the API is ready. Further flags are for the kube-apiserver.
func Start(ctx context.Context, dir string, flags ...string) (*Server, error) {
	binary, err := find("kube-apiserver")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, binary: binary, flags: flags}
	if err := s.start(ctx); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.port, err = holdPort(); err != nil {
		return err
	}
	if s.etcdPort, err = holdPort(); err != nil {
		return err
	}
	if err := s.startEtcd(); err != nil {
		return err
	}
	if err := s.writeFiles(); err != nil {
		return err
	}
	return s.StartAPI(ctx)
}

// end ends all but the kube-apiserver, as far as it was begun.
func (s *Server) end() {
	if s.etcd != nil {
		s.etcd.Close()
	}
	s.etcdPort.release()
	s.port.release()
}

// find looks for a program in INGOT_BIN or the repository's bin.
func find(name string) (string, error) {
	dir := os.Getenv("INGOT_BIN")
	if dir == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run make build, or set INGOT_BIN to the directory of built programs", err)
	}
	return path, nil
}

// repository is the nearest directory above with a go.work.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.work above the working directory")
		}
		dir = up
	}
}

func (s *Server) startEtcd() error {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(s.dir, "etcd")
	cfg.LogLevel = "fatal" // it reports its own orderly end as errors
	cfg.UnsafeNoFsync = true
	cfg.SocketOpts.ReusePort = true
	s.etcdURL = url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.etcdPort.number))}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{s.etcdURL}, []url.URL{s.etcdURL}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{s.etcdURL} // in a cluster of one nobody uses it
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		e.Close()
		return fmt.Errorf("starting etcd: %w", err)
	}
	s.etcd = e
	return nil
}

// writeFiles writes the keys of ServiceAccounts, and tokens: the admin's, and one for each account of ours that is
// just the account's name, so that tests run with the permissions that are shipped.
func (s *Server) writeFiles() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	tokens := []string{adminToken + `,admin,admin,"system:masters"`}
	for _, account := range []string{"apiserver", "controller", "operator", "speaker", "webhooks"} {
		tokens = append(tokens, account+",system:serviceaccount:"+System+":"+account+","+account+
			`,"system:serviceaccounts,system:serviceaccounts:`+System+`"`)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "sa.key"), block, 0o600),
		os.WriteFile(filepath.Join(s.dir, "tokens.csv"), []byte(strings.Join(tokens, "\n")+"\n"), 0o600))
}

// StartAPI starts the kube-apiserver, again after StopAPI, and waits until it is ready.
func (s *Server) StartAPI(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.binary,
		"--etcd-servers="+s.etcdURL.String(),
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(s.port.number), "--permit-port-sharing", "--cert-dir="+filepath.Join(s.dir, "certs"),
		"--authorization-mode=RBAC", "--token-auth-file="+filepath.Join(s.dir, "tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(s.dir, "sa.key"), "--service-account-signing-key-file="+filepath.Join(s.dir, "sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16,fd96::/112", "--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none")
	cmd.Args = append(cmd.Args, s.flags...)
	cmd.Stdout, cmd.Stderr = log, log
	// Whatever ends the test, this process ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting kube-apiserver: %w", err)
	}
	s.process, s.exited = cmd, make(chan struct{})
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // how it ended is of no interest: it is always killed
	}()
	if err := s.awaitReady(ctx); err != nil {
		s.StopAPI()
		return err
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.Config(adminToken))
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx, client)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready (log in %s): %w", s.LogFile(), err)
		case <-s.exited:
			return fmt.Errorf("kube-apiserver ended (log in %s)", s.LogFile())
		case <-tick.C:
		}
	}
}

// ready says whether all is there that tests take for granted: a controller of the kube-apiserver's makes the namespaces a moment
// after it calls itself ready.
func ready(ctx context.Context, client kubernetes.Interface) error {
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// LogFile is where kube-apiserver logs.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "kube-apiserver.log") }

// StopAPI kills the kube-apiserver; etcd stays.
func (s *Server) StopAPI() {
	// An error says that it has ended already.
	_ = s.process.Process.Kill()
	<-s.exited
}

// Stop ends both.
func (s *Server) Stop() {
	s.StopAPI()
	s.end()
}

// Etcd is the URL of the etcd, for tests that read what was stored, or need one for themselves.
func (s *Server) Etcd() string { return s.etcdURL.String() }

// Admin is a client configuration that may do everything.
func (s *Server) Admin() *rest.Config { return s.Config(adminToken) }

// Config is the client configuration of one of our ServiceAccounts: apiserver, controller, operator, speaker or webhooks.
func (s *Server) Config(account string) *rest.Config {
	return &rest.Config{
		Host:        "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port.number)),
		BearerToken: account,
		QPS:         -1,
		// Its certificate is made at the first start, self-signed, and the way to it is loopback.
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
}
