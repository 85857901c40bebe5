package cluster

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/standin"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

const (
	namespace      = "metallb-system"
	ingotEtcdPort  = 12379 // the store of several apiservers
	metricsPort    = 7472
	controllerPort = 7480 // the controller's metrics: it shares its place with an apiserver
	webhooksPort   = 7481 // those of webhooks, likewise
	dispatchPort   = 7473
	adminDir       = "/run/ingot-apiserver"
	stateDir       = "/run/ingot"
)

// ingotParts are our own programs, each with the Pod and the ServiceAccount that the manifests would give it.
func (l *Lab) ingotParts() error {
	for _, dir := range []string{adminDir, stateDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if l.with(part.APIServer) {
		for i := 1; i <= l.APIServers; i++ {
			if err := l.apiserver(i); err != nil {
				return err
			}
		}
	}
	if l.with(part.Controller) {
		if err := l.controller(); err != nil {
			return err
		}
	}
	if l.with(part.Webhooks) {
		if err := l.webhooks(); err != nil {
			return err
		}
	}
	if l.with(part.Speaker) {
		for _, node := range l.topology.Nodes() {
			if err := l.speaker(node); err != nil {
				return err
			}
		}
	}
	return nil
}

// ingotPod is the Pod of one of our programs. Those of the control place are bound to the first node as well: a Pod
// must be on some node.
func (l *Lab) ingotPod(component, name, node string) standin.Pod {
	return standin.Pod{
		Namespace: namespace, Name: name, Node: node, ServiceAccount: component,
		Labels:  map[string]string{"app": "metallb", "component": component, "app.kubernetes.io/component": component},
		HostIPs: l.topology.Addresses(node, topology.Mgmt), IPs: l.topology.Addresses(node, topology.Mgmt),
	}
}

// apiserver is replica i of our apiserver, on an address of its own.
func (l *Lab) apiserver(i int) error {
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	name := part.Name{Kind: part.APIServer, Instance: strconv.Itoa(i)}
	id := fmt.Sprintf("apiserver-%d", i)
	pod := l.ingotPod(part.APIServer, id, topology.NodeName(1))
	pod.IPs = l.topology.Addresses(topology.Control, topology.Mgmt)[2*(i-1) : 2*i] // a pair for each replica
	address := topology.APIServer(i).String()
	args := []string{
		"--kubeconfig=" + l.file("pki", id+".kubeconfig"), "--id=" + id, "--bind-address=" + address,
		fmt.Sprintf("--dispatch-address=%s:%d", address, dispatchPort),
		fmt.Sprintf("--metrics-address=%s:%d", address, metricsPort),
		"--data-dir=" + l.file(id), // what is kept there must not reach another lab
	}
	needs := []string{part.Etcd, part.KubeAPIServer}
	if l.APIServers > 1 {
		args = append(args, fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", ingotEtcdPort))
		needs = append(needs, part.IngotEtcd)
	}
	if i > 1 {
		args = append(args, fmt.Sprintf("--admin-socket=%s/admin-%d.sock", adminDir, i))
	}
	probe := fmt.Sprintf("http://%s:%d", address, metricsPort)
	return l.addIngot(&Part{
		name: name, place: topology.Control, needs: needs,
		probe: answers(control, probe+"/readyz"), alive: answers(control, probe+"/healthz"),
		command: []process.Command{{Path: l.program(part.APIServer), In: control, Args: args}},
	}, pod, "")
}

func (l *Lab) controller() error {
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	pod := l.ingotPod(part.Controller, "controller", topology.NodeName(1))
	pod.IPs = l.topology.Addresses(topology.Control, topology.Mgmt)[:2]
	probe := fmt.Sprintf("http://127.0.0.1:%d", controllerPort)
	return l.addIngot(&Part{
		name: part.Name{Kind: part.Controller}, place: topology.Control,
		needs: []string{part.Etcd, part.KubeAPIServer, part.APIServer},
		probe: answers(control, probe+"/readyz"), alive: answers(control, probe+"/healthz"),
		command: []process.Command{{Path: l.program(part.Controller), In: control, Args: []string{
			"--kubeconfig=" + l.file("pki", "controller.kubeconfig"), fmt.Sprintf("--metrics-address=:%d", controllerPort),
		}}},
	}, pod, "")
}

// webhooks are where the kube-apiserver finds them: through a Service, at the port that the manifests say.
func (l *Lab) webhooks() error {
	control, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	pod := l.ingotPod(part.Webhooks, "webhooks", topology.NodeName(1))
	pod.IPs = l.topology.Addresses(topology.Control, topology.Mgmt)[:2]
	probe := fmt.Sprintf("http://127.0.0.1:%d", webhooksPort)
	return l.addIngot(&Part{
		name: part.Name{Kind: part.Webhooks}, place: topology.Control,
		needs: []string{part.Etcd, part.KubeAPIServer, part.APIServer},
		probe: answers(control, probe+"/readyz"), alive: answers(control, probe+"/healthz"),
		command: []process.Command{{Path: l.program(part.Webhooks), In: control, Args: []string{
			"--kubeconfig=" + l.file("pki", "webhooks.kubeconfig"), fmt.Sprintf("--metrics-address=:%d", webhooksPort),
		}}},
	}, pod, "")
}

// speaker is that of one node. All it has of Kubernetes is a token that says which Pod it is.
func (l *Lab) speaker(node string) error {
	in, err := l.network.Place(node)
	if err != nil {
		return err
	}
	state := stateDir + "/" + node
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	var dispatch []string
	for i := 1; i <= l.APIServers; i++ {
		dispatch = append(dispatch, fmt.Sprintf("%s:%d", topology.APIServer(i), dispatchPort))
	}
	pod := l.ingotPod(part.Speaker, "speaker-"+node, node)
	pod.HostNetwork = true
	probe := fmt.Sprintf("http://127.0.0.1:%d", metricsPort)
	return l.addIngot(&Part{
		name: part.Name{Kind: part.Speaker, Instance: node}, place: node,
		needs: []string{part.Etcd, part.KubeAPIServer, part.APIServer, part.IngotEtcd},
		probe: answers(in, probe+"/readyz"), alive: answers(in, probe+"/healthz"),
		command: []process.Command{{Path: l.program(part.Speaker), In: in, Args: []string{
			"--node-name=" + node, "--dispatch=" + strings.Join(dispatch, ","), "--dispatch-ca=" + l.caFile(),
			"--token-file=" + l.tokenFile(pod), "--state-dir=" + state, "--grpc-socket=" + state + "/speaker.sock",
		}}},
	}, pod, dispatchAudience)
}

// addIngot adds a part that has a Pod and a token of the Pod's ServiceAccount. Where the token is for the
// kube-apiserver, there is a kubeconfig that uses it.
func (l *Lab) addIngot(p *Part, pod standin.Pod, audience string) error {
	if audience == "" {
		path := l.file("pki", pod.Name+".kubeconfig")
		if err := l.pki.ForToken(path, "https://"+l.address(), pod.ServiceAccount, l.tokenFile(pod)); err != nil {
			return err
		}
	}
	kept := &token{pod: pod, audience: audience, file: l.tokenFile(pod)}
	l.tokens = append(l.tokens, kept)
	p.prepare = func(ctx context.Context) error { return l.ensureToken(ctx, kept) }
	l.addPod(p, pod)
	return nil
}

// startIngot installs the manifests and starts our programs: the apiserver first, so that none of the others waits
// out a back-off.
func (l *Lab) startIngot(ctx, starting context.Context) error {
	if err := l.progress.step(starting, "manifests", l.applyManifests); err != nil {
		return err
	}
	go l.renewTokens(ctx)
	for _, kind := range []string{part.IngotEtcd, part.APIServer} {
		if err := l.start(starting, kind); err != nil {
			return err
		}
	}
	if l.with(part.APIServer) {
		if err := l.progress.step(starting, "aggregated API", l.awaitAPIServices); err != nil {
			return err
		}
		if err := l.followCA(ctx, starting); err != nil {
			return err
		}
	}
	return l.sideBySide(starting, part.Controller, part.Webhooks, part.Speaker)
}
