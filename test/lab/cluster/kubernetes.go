package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/pki"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

const (
	serviceCIDRs = "10.96.0.0/16,fd96::/112"
	podCIDRs     = "10.244.0.0/16,fd44::/16"
	issuer       = "https://kubernetes.default.svc"
)

// controllers are those of the kube-controller-manager that the lab needs: slices, accounts and their tokens, clean-up,
// and workloads. Without kubelets nodes have no heartbeat, so that the ones that judge nodes stay away; with kubelets, all
// controllers run that run by default.
var controllers = []string{
	"endpointslice-controller", "endpointslice-mirroring-controller", "endpoints-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"namespace-controller", "garbage-collector-controller", "service-cidr-controller", "clusterrole-aggregation-controller",
	"deployment-controller", "replicaset-controller", "daemonset-controller",
}

// address of the kube-apiserver, for programs of the lab.
func (l *Lab) address() string {
	return net.JoinHostPort(topology.APIServer(1).String(), "6443")
}

// credentials makes certificates and kubeconfigs, and the client of the lab itself.
func (l *Lab) credentials(hostPort string) error {
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	addresses := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1"), net.ParseIP("10.96.0.1"), net.ParseIP("fd96::1")}
	for _, a := range l.topology.Addresses(topology.Control, topology.Mgmt) {
		addresses = append(addresses, a.AsSlice())
	}
	var err error
	if l.pki, err = pki.New(l.file("pki"), names, addresses); err != nil {
		return err
	}
	if err := l.pki.Client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"); err != nil {
		return err
	}
	inside := "https://" + l.address()
	for _, c := range []struct{ file, server, user, group string }{
		{KubeConfig(l.Dir), "https://" + hostPort, "admin", "system:masters"},
		{l.file("kubeconfig.inside"), inside, "admin", "system:masters"},
		{l.pki.Path("kube-controller-manager.kubeconfig"), inside, "system:kube-controller-manager", ""},
		{l.pki.Path("kube-scheduler.kubeconfig"), inside, "system:kube-scheduler", ""},
		{l.pki.Path("kube-proxy.kubeconfig"), inside, "system:kube-proxy", ""},
	} {
		if err := l.pki.ForCertificate(c.file, c.server, c.user, c.group); err != nil {
			return err
		}
	}
	return nil
}

// connect makes the client that the lab itself uses, as administrator, from within the control place.
func (l *Lab) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", l.file("kubeconfig.inside"))
	if err != nil {
		return err
	}
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	config.Dial = control.DialContext
	config.QPS = -1 // the kube-apiserver is ours alone
	l.config = config
	l.client, err = kubernetes.NewForConfig(config)
	return err
}

func (l *Lab) kubernetesParts() error {
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	etcd := func(kind, dir string, port int) {
		client, peer := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", port+1)
		l.add(&Part{
			name: part.Name{Kind: kind}, place: topology.Control,
			probe: answers(control, client+"/health"),
			command: []process.Command{{Path: l.program(part.Etcd), In: control, Args: []string{
				"--name=lab", "--data-dir=" + l.file(dir), "--unsafe-no-fsync", "--log-level=error",
				"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=lab=" + peer,
			}}},
		})
	}
	etcd(part.Etcd, "etcd", 2379)
	if l.APIServers > 1 && l.with(part.APIServer) {
		etcd(part.IngotEtcd, "ingot-etcd", ingotEtcdPort)
	}
	audit, err := l.audit()
	if err != nil {
		return err
	}
	l.add(&Part{
		name: part.Name{Kind: part.KubeAPIServer}, place: topology.Control,
		probe: func(ctx context.Context) error {
			return l.client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		},
		command: []process.Command{{Path: l.program(part.KubeAPIServer), In: control, Args: slices.Concat(audit, []string{
			"--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--bind-address=0.0.0.0",
			"--advertise-address=" + topology.APIServer(1).String(),
			"--tls-cert-file=" + l.pki.Path("apiserver.crt"), "--tls-private-key-file=" + l.pki.Path("apiserver.key"),
			"--client-ca-file=" + l.pki.Path("ca.crt"), "--authorization-mode=Node,RBAC",
			"--service-account-issuer=" + issuer, "--service-account-key-file=" + l.pki.Path("sa.pub"),
			"--service-account-signing-key-file=" + l.pki.Path("sa.key"), "--service-cluster-ip-range=" + serviceCIDRs,
			"--requestheader-client-ca-file=" + l.pki.Path("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + l.pki.Path("front-proxy-client.crt"),
			"--proxy-client-key-file=" + l.pki.Path("front-proxy-client.key"), "--enable-aggregator-routing=true",
			"--kubelet-client-certificate=" + l.pki.Path("kubelet-client.crt"), "--kubelet-client-key=" + l.pki.Path("kubelet-client.key"),
			"--kubelet-certificate-authority=" + l.pki.Path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			// Without it, watches hold up the end for a minute.
			"--shutdown-watch-termination-grace-period=1s",
		})}},
	})
	wanted := controllers
	if l.Kubelets {
		wanted = []string{"*"}
	}
	kubeconfig := l.pki.Path("kube-controller-manager.kubeconfig")
	l.add(&Part{
		name: part.Name{Kind: part.ControllerManager}, place: topology.Control,
		probe: answers(control, "https://127.0.0.1:10257/healthz"),
		command: []process.Command{{Path: l.program(part.ControllerManager), In: control, Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
			"--service-account-private-key-file=" + l.pki.Path("sa.key"), "--root-ca-file=" + l.pki.Path("ca.crt"),
			"--flex-volume-plugin-dir=" + l.file("flex-volume"), "--controllers=" + strings.Join(wanted, ","),
			// With the default of 20, a burst of Services waits for its EndpointSlices, ten Services a second.
			"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-service-endpoint-syncs=10",
		}}},
	})
	for _, node := range l.nodes() {
		in, err := l.network.Place(node)
		if err != nil {
			return err
		}
		l.add(&Part{
			name: part.Name{Kind: part.KubeProxy, Instance: node}, place: node,
			probe: synced(in),
			command: []process.Command{{Path: l.program(part.KubeProxy), In: in, Args: []string{
				"--kubeconfig=" + l.pki.Path("kube-proxy.kubeconfig"), "--hostname-override=" + node,
				"--proxy-mode=nftables", "--cluster-cidr=" + podCIDRs,
				// With the default, the node's primary address, health check node ports would not answer on loopback.
				"--nodeport-addresses=0.0.0.0/0,::/0",
				"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
				"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249",
			}}},
		})
	}
	return nil
}
