// Package kubelet runs the Pods that the scheduler binds to a node of the lab as processes: each container in mount, pid
// and UTS namespaces of its own, in the network of its node or Pod, from the files that its image has, with volumes,
// environment, user and capabilities as its manifest says. It reports, restarts and ends them as a kubelet does, and
// serves what `kubectl logs`, `kubectl exec` and `kubectl port-forward` ask for. What it cannot do it refuses, saying so
// in the Pod's status, rather than passing it over.
package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/process"
)

// Config is all that a kubelet knows of its node.
type Config struct {
	Client    kubernetes.Interface // as system:node:NAME of the group system:nodes, which is enough
	NodeName  string
	Addresses []netip.Addr      // the node's InternalIPs, the first family first; hostNetwork Pods have them, too
	PodCIDRs  []netip.Prefix    // may be empty where a controller gives them
	Labels    map[string]string // beside those that every node has

	// Network is the node's; nil is that of this process. Sandbox makes what a Pod that is not hostNetwork lives in.
	Network *netns.Namespace
	Sandbox func(ctx context.Context, pod *corev1.Pod) (*Sandbox, error)

	// Image finds what a reference names; false: it cannot be pulled. Bin has the programs of images, by their names.
	Image func(reference string) (image.Image, bool)
	Bin   string

	Root  string // hostPath /x, and a local volume's, is Root/x
	State string // what the kubelet keeps: volumes, logs; not below Root
	// Shim is a program and its first arguments, such as "lab container": it must call container.Main with the rest.
	Shim   []string
	Reaper *process.Reaper

	// DNS are the addresses of the cluster's DNS, Domain what its names end in. Resolver is the file that is the node's own
	// resolv.conf; empty: it has none.
	DNS      []netip.Addr
	Domain   string
	Resolver string

	// Serving is by what the kubelet's API is served, on Port (0: any) of all addresses of Network. Who asks must have a
	// certificate by Clients, of the group system:masters.
	Serving tls.Certificate
	Clients *x509.CertPool
	Port    uint16

	BackOff time.Duration // before a container's second restart; doubles up to 30 times of it. 0: 10 s
	Lease   time.Duration // how long the node counts as alive without a sign; renewed four times as often. 0: 40 s
	Log     *slog.Logger
}

// Sandbox is the network of a Pod.
type Sandbox struct {
	Network   *netns.Namespace // nil is that of this process
	Addresses []netip.Addr
	// Close lets go of it once all containers have ended. May be nil.
	Close func() error
}

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	if c.BackOff == 0 {
		c.BackOff = 10 * time.Second
	}
	if c.Lease == 0 {
		c.Lease = 40 * time.Second
	}
	if c.Domain == "" {
		c.Domain = "cluster.local"
	}
	if c.Image == nil {
		c.Image = image.ByName
	}
	return c
}
