package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/kubelet"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// kubeletPort is where a kubelet is asked for logs and sessions.
const kubeletPort = 10250

// podPlace is what the names of Pods' places begin with.
const podPlace = "pod-"

// dnsAddresses are the ClusterIPs of the cluster's DNS.
var dnsAddresses = []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd96::a")}

// nodes are the names of all nodes: with kubelets, control is one.
func (l *Lab) nodes() []string {
	if l.Kubelets {
		return append([]string{topology.Control}, l.topology.Nodes()...)
	}
	return l.topology.Nodes()
}

// clusterParts are those of a lab with kubelets beside the ones that every lab has.
func (l *Lab) clusterParts() error {
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	kubeconfig := l.pki.Path("kube-scheduler.kubeconfig")
	l.add(&Part{
		name: part.Name{Kind: part.Scheduler}, place: topology.Control,
		probe: answers(control, "https://127.0.0.1:10259/healthz"),
		command: []process.Command{{Path: l.program(part.Scheduler), In: control, Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
		}}},
	})
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var listen []string
	for _, a := range l.topology.Addresses(topology.Control, topology.Mgmt) {
		listen = append(listen, net.JoinHostPort(a.String(), "53"))
	}
	l.add(&Part{
		name: part.Name{Kind: part.DNS}, place: topology.Control, probe: resolves(control, listen),
		command: []process.Command{{Path: self, In: control, Args: append([]string{"dns", l.file("kubeconfig.inside")}, listen...)}},
	})
	for i, node := range l.nodes() {
		k, err := l.newKubelet(i, node)
		if err != nil {
			return fmt.Errorf("kubelet of %s: %w", node, err)
		}
		l.kubelets = append(l.kubelets, k)
	}
	return nil
}

// newKubelet makes the kubelet of a node, which is number i of the address plan.
func (l *Lab) newKubelet(i int, node string) (*nodeKubelet, error) {
	in, err := l.network.Place(node)
	if err != nil {
		return nil, err
	}
	addresses := l.topology.Addresses(node, topology.Mgmt)
	var ips []net.IP
	for _, a := range addresses {
		ips = append(ips, a.AsSlice())
	}
	name := "kubelet-" + node
	if err := l.pki.Serving(name, ips); err != nil {
		return nil, err
	}
	serving, err := tls.LoadX509KeyPair(l.pki.Path(name+".crt"), l.pki.Path(name+".key"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(l.pki.CA())
	kubeconfig := l.pki.Path(name + ".kubeconfig")
	if err := l.pki.ForCertificate(kubeconfig, "https://"+l.address(), "system:node:"+node, "system:nodes"); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Dial, config.QPS = in.DialContext, -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	cidrs := topology.PodCIDRs(i)
	pods, err := l.network.Pods(node, cidrs)
	if err != nil {
		return nil, err
	}
	resolver := l.file("resolv.conf")
	root, state := l.file("nodes", node), l.file("kubelet", node)
	err = errors.Join(os.MkdirAll(root, 0o755), os.MkdirAll(state, 0o755),
		os.WriteFile(resolver, []byte("# A node knows no names but those in its own /etc/hosts.\n"), 0o644))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &nodeKubelet{name: part.Name{Kind: part.Kubelet, Instance: node}, log: l.log, make: func() *kubelet.Kubelet {
		return kubelet.New(kubelet.Config{
			Client: client, NodeName: node, Addresses: addresses, PodCIDRs: cidrs, Network: in,
			Sandbox: func(_ context.Context, pod *corev1.Pod) (*kubelet.Sandbox, error) {
				name := podPlace + pod.Name
				if pod.Namespace != corev1.NamespaceDefault {
					name += "." + pod.Namespace // which has no dot
				}
				network, own, err := pods.Attach(name)
				if err != nil {
					return nil, err
				}
				return &kubelet.Sandbox{Network: network, Addresses: own, Close: func() error { return pods.Detach(name) }}, nil
			},
			Image: images, Bin: l.Bin, Root: root, State: state, Shim: []string{self, "container"}, Reaper: l.reaper,
			DNS: dnsAddresses[:1], Resolver: resolver,
			Serving: serving, Clients: clients, Port: kubeletPort, Log: l.log.With("node", node),
		})
	}}, nil
}

// images are ours, and the lab's workload.
func images(reference string) (image.Image, bool) {
	if reference == webImage.Name {
		return webImage, true
	}
	return image.ByName(reference)
}

// startCluster brings up what a cluster has beside the kube-apiserver, which runs.
func (l *Lab) startCluster(ctx, starting context.Context) error {
	g, starting := errgroup.WithContext(starting)
	g.Go(func() error { return l.sideBySide(starting, part.ControllerManager, part.Scheduler, part.DNS) })
	g.Go(func() error {
		for _, k := range l.kubelets {
			k.run(ctx)
		}
		if err := l.progress.step(starting, "nodes", l.awaitNodes); err != nil {
			return err
		}
		return l.start(starting, part.KubeProxy)
	})
	g.Go(func() error { return l.progress.step(starting, "system objects", l.applySystem) })
	if err := g.Wait(); err != nil {
		return err
	}
	return nil
}
