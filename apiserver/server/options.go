// Package server is the aggregated API server as a process: its flags, the order in which its parts come up, and
// what it says about itself.
//
// Parts come up as soon as what they need is there, and nothing ends the process because the host cluster is
// away: the store opens first, then the certificates, the stream to the speakers, the aggregated API, and last the
// APIServices that lead to it. What is still missing is told by /readyz on the metrics address.
package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/speaker/logging"
)

// Options are what flags say; docs/flags.md describes them for users.
type Options struct {
	Kubeconfig        string
	Namespace         string
	BindAddress       net.IP
	SecurePort        int
	DispatchAddress   string
	MetricsAddress    string
	DataDir           string
	EtcdServers       []string
	EtcdCAFile        string
	EtcdCertFile      string
	EtcdKeyFile       string
	AdminSocket       string
	ID                string
	ServiceName       string
	LoadBalancerClass string
	// ClassOfMetalLB takes it from the MetalLB object instead, as the operator has controller and webhooks do.
	ClassOfMetalLB bool
	// IgnoreExcludeLabel has nodes announce though they are labelled as excluded from external load balancers.
	IgnoreExcludeLabel bool
	// CreateAPIServices makes APIServices that are missing. Otherwise whoever installs makes and deletes them, and they are kept
	// right while they are there.
	CreateAPIServices bool
	LogLevel          string
	// ExportInterval is how long exports of the store into Secrets are apart, at least; 0: there are none.
	ExportInterval time.Duration
	// Version of the program, for exports.
	Version string

	// WebhooksService is whose certificate is issued here; empty: nobody's.
	WebhooksService string
	// TLSCertFile and TLSKeyFile are served by instead of what is issued; TLSCAFile says by what clients know them.
	TLSCertFile, TLSKeyFile, TLSCAFile string
	// APICertFile and APIKeyFile are served by on the aggregated API alone, in place of both of the above.
	APICertFile, APIKeyFile string
	// Limits are what TLS agrees to, everywhere, and Monitoring whether metrics are served over it.
	Limits     handshake.Limits
	Monitoring monitoring.Options
	// Certificates says how long those that are issued live.
	Certificates certs.Policy
}

// DefaultAdminSocket is where "adopt" finds the process.
const DefaultAdminSocket = "/run/ingot-apiserver/admin.sock"

// NewOptions returns the defaults, which the environment may change.
func NewOptions() *Options {
	o := &Options{
		Namespace:       "metallb-system",
		BindAddress:     net.IPv4zero,
		SecurePort:      10443,
		DispatchAddress: ":7473",
		MetricsAddress:  ":7472",
		DataDir:         "/var/lib/ingot",
		AdminSocket:     DefaultAdminSocket,
		ServiceName:     "apiserver",
		LogLevel:        "info",
		WebhooksService: "webhooks",
		Certificates:    certs.DefaultPolicy,
		ExportInterval:  10 * time.Minute,

		CreateAPIServices: true,
	}
	if ns := os.Getenv("METALLB_NAMESPACE"); ns != "" {
		o.Namespace = ns
	}
	if host, err := os.Hostname(); err == nil {
		o.ID = host // otherwise --id is required, which Validate says
	}
	return o
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "file that says how to reach the host cluster; empty: the Pod's own")
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "system namespace (environment METALLB_NAMESPACE)")
	fs.IPVar(&o.BindAddress, "bind-address", o.BindAddress, "address of the aggregated API")
	fs.IntVar(&o.SecurePort, "secure-port", o.SecurePort, "port of the aggregated API")
	fs.StringVar(&o.DispatchAddress, "dispatch-address", o.DispatchAddress, "address of the stream to the speakers")
	fs.StringVar(&o.MetricsAddress, "metrics-address", o.MetricsAddress, "address of /metrics, /healthz and /readyz, plain HTTP but for --metrics-tls; empty: off")
	fs.BoolVar(&o.Monitoring.TLS, monitoring.TLSFlag, o.Monitoring.TLS, monitoring.TLSUsage)
	fs.StringVar(&o.Monitoring.CertDir, monitoring.CertDirFlag, o.Monitoring.CertDir, monitoring.CertDirUsage)
	o.Limits.AddFlags(func(v handshake.Value, name, usage string) { fs.Var(v, name, usage) })
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "directory of the embedded etcd, and of copies for times without the host cluster")
	fs.StringSliceVar(&o.EtcdServers, "etcd-servers", o.EtcdServers, "URLs of an etcd to use instead of the embedded one")
	fs.StringVar(&o.EtcdCAFile, "etcd-cafile", o.EtcdCAFile, "CA of --etcd-servers")
	fs.StringVar(&o.EtcdCertFile, "etcd-certfile", o.EtcdCertFile, "client certificate for --etcd-servers")
	fs.StringVar(&o.EtcdKeyFile, "etcd-keyfile", o.EtcdKeyFile, "key of --etcd-certfile")
	fs.StringVar(&o.AdminSocket, "admin-socket", o.AdminSocket, "unix socket that \"adopt\", \"export\" and \"restore\" talk to")
	fs.DurationVar(&o.ExportInterval, "export-interval", o.ExportInterval, "how long exports of the store into the Secret ingot-export are apart, at least; 0: there are none")
	fs.StringVar(&o.ID, "id", o.ID, "name of this replica")
	fs.StringVar(&o.ServiceName, "service-name", o.ServiceName, "Service that APIServices point at and certificates name")
	fs.StringVar(&o.LoadBalancerClass, "lb-class", o.LoadBalancerClass, "announce only Services of this loadBalancerClass")
	fs.BoolVar(&o.ClassOfMetalLB, "lb-class-of-metallb", o.ClassOfMetalLB, "take the loadBalancerClass from the MetalLB object, as the operator has the other programs do")
	fs.BoolVar(&o.IgnoreExcludeLabel, "ignore-exclude-lb", o.IgnoreExcludeLabel, "announce from nodes, too, that have the label node.kubernetes.io/exclude-from-external-load-balancers")
	fs.BoolVar(&o.CreateAPIServices, "create-apiservices", o.CreateAPIServices, "make the APIServices that lead here; otherwise whoever installs does, and what it made is kept right")
	fs.StringVar(&o.WebhooksService, "webhooks-service-name", o.WebhooksService, "Service of webhooks, for which a certificate is issued and a CA injected; empty: for nobody")
	fs.StringVar(&o.TLSCertFile, "tls-cert-file", o.TLSCertFile, "certificate to serve by, with its chain; re-read when it changes. Then none is issued, and no CA is injected")
	fs.StringVar(&o.TLSKeyFile, "tls-private-key-file", o.TLSKeyFile, "key of --tls-cert-file")
	fs.StringVar(&o.TLSCAFile, "tls-ca-file", o.TLSCAFile, "CA that --tls-cert-file must be signed by; empty: any")
	fs.StringVar(&o.APICertFile, "api-tls-cert-file", o.APICertFile, "certificate to serve the aggregated API alone by, where somebody else makes the APIServices and says in them by what it is known; re-read when it changes. The stream and webhooks keep theirs")
	fs.StringVar(&o.APIKeyFile, "api-tls-private-key-file", o.APIKeyFile, "key of --api-tls-cert-file")
	fs.DurationVar(&o.Certificates.Leaf, "certificate-lifetime", o.Certificates.Leaf, "life of certificates that are issued; renewed after two thirds of it")
	fs.DurationVar(&o.Certificates.CA, "ca-lifetime", o.Certificates.CA, "life of the CA that issues them; rotated after two thirds of it")
	fs.DurationVar(&o.Certificates.Overlap, "ca-overlap", o.Certificates.Overlap, "how long a new CA is known before it signs, and an old one trusted after it has signed last")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "all, debug, info, warn, error or none")
}

// Validate reports everything that is wrong, naming the flags.
func (o *Options) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(o.Namespace != "", "--namespace is required")
	need(o.Namespace == "" || len(validation.IsDNS1123Label(o.Namespace)) == 0, "--namespace %q is not the name of a namespace", o.Namespace)
	need(o.ID != "", "--id is required: the host has no name")
	need(o.ServiceName != "", "--service-name is required")
	need(o.DataDir != "", "--data-dir is required")
	need(o.ExportInterval == 0 || o.ExportInterval >= time.Second, "--export-interval %s is neither 0 nor at least a second", o.ExportInterval)
	need(filepath.IsAbs(o.AdminSocket), "--admin-socket %q is not an absolute path", o.AdminSocket)
	need(o.SecurePort > 0 && o.SecurePort < 1<<16, "--secure-port %d is not a port", o.SecurePort)
	need((o.TLSCertFile == "") == (o.TLSKeyFile == ""), "--tls-cert-file and --tls-private-key-file need each other")
	need(o.TLSCAFile == "" || o.TLSCertFile != "", "--tls-ca-file is for --tls-cert-file")
	need((o.APICertFile == "") == (o.APIKeyFile == ""), "--api-tls-cert-file and --api-tls-private-key-file need each other")
	need(o.LoadBalancerClass == "" || !o.ClassOfMetalLB, "--lb-class and --lb-class-of-metallb exclude each other")
	if err := o.Limits.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := o.Certificates.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("--ca-lifetime, --certificate-lifetime and --ca-overlap: %w", err))
	}
	need((o.EtcdCertFile == "") == (o.EtcdKeyFile == ""), "--etcd-certfile and --etcd-keyfile need each other")
	need(len(o.EtcdServers) > 0 || o.EtcdCAFile == "" && o.EtcdCertFile == "", "--etcd-cafile and --etcd-certfile are for --etcd-servers")
	for _, server := range o.EtcdServers {
		u, err := url.Parse(server)
		need(err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "unix"), "--etcd-servers: %q is not a URL of etcd", server)
	}
	for flag, address := range map[string]string{"dispatch-address": o.DispatchAddress, "metrics-address": o.MetricsAddress} {
		if flag == "metrics-address" && address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		need(err == nil, "--%s %q is not host:port", flag, address)
	}
	if _, err := logging.ParseLevel(o.LogLevel); err != nil {
		errs = append(errs, fmt.Errorf("--log-level: %w", err))
	}
	return errors.Join(errs...)
}
