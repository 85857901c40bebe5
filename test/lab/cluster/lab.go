package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/network"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/pki"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/standin"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// patience is how long all processes together may take to end when the lab goes down.
const patience = 8 * time.Second

// Lab is a lab that is coming up or is up. Everything but the parts' states is fixed once it is up.
type Lab struct {
	Options

	log      *slog.Logger
	progress *progress
	reaper   *process.Reaper
	host     hostPIDs
	topology *topology.Topology
	network  *network.Network
	pki      *pki.PKI
	config   *rest.Config
	client   kubernetes.Interface
	standins *standin.Pods
	parts    []*Part
	tokens   []*token
	env      []string
	kubelets []*nodeKubelet // of all nodes, in a lab that has kubelets
}

func (l *Lab) add(p *Part) {
	p.log = LogFile(l.Dir, p.name.String())
	p.reaper = l.reaper
	p.running = l.running
	p.turn = make(chan struct{}, 1)
	p.processes = make([]*process.Process, len(p.command))
	for i := range p.command {
		p.command[i].Env = l.env
		p.command[i].Args = append(p.command[i].Args, l.further(p.name.Kind)...)
	}
	l.parts = append(l.parts, p)
}

// running says whether a part of the kind runs, or there is none in this lab.
func (l *Lab) running(kind string) bool {
	none := true
	for _, p := range l.parts {
		if p.name.Kind == kind {
			if state, _ := p.State(); state == control.Running {
				return true
			}
			none = false
		}
	}
	return none
}

// unit finds a part by its name, or what is in Pods in its place. The error names the parts there are.
func (l *Lab) unit(s string) (unit, error) {
	name, err := part.Parse(s)
	if err != nil {
		return nil, err
	}
	var have []string
	for _, u := range l.units() {
		if u.Name() == name {
			return u, nil
		}
		have = append(have, u.Name().String())
	}
	return nil, part.NotHere(name, have)
}

// up builds the lab and returns when every part is ready. hostPort is where the kube-apiserver is reached from the
// host. What works in the background goes on until ctx ends.
func (l *Lab) up(ctx context.Context, hostPort string) error {
	if err := l.checkPrograms(); err != nil {
		return err
	}
	err := l.progress.step(ctx, "networks", func(context.Context) (err error) {
		l.network, err = network.Build(l.topology)
		return err
	})
	if err != nil {
		return err
	}
	err = l.progress.step(ctx, "certificates", func(context.Context) error {
		return errors.Join(l.credentials(hostPort), l.connect())
	})
	if err != nil {
		return err
	}
	l.standins = standin.New(l.client, l.log)
	makers := []func() error{l.kubernetesParts, l.routerPart, l.webParts, l.ingotParts}
	if l.Kubelets {
		makers = []func() error{l.kubernetesParts, l.routerPart, l.clusterParts}
	}
	for _, maker := range makers {
		if err := maker(); err != nil {
			return err
		}
	}
	g, starting := errgroup.WithContext(ctx)
	g.Go(func() error { return l.start(starting, part.FRR) })
	g.Go(func() error { return l.startKubernetes(ctx, starting) })
	return g.Wait()
}

// startKubernetes brings up the control plane, then side by side all that depends on it.
func (l *Lab) startKubernetes(ctx, starting context.Context) error {
	for _, kind := range []string{part.Etcd, part.KubeAPIServer} {
		if err := l.start(starting, kind); err != nil {
			return err
		}
	}
	if l.Kubelets {
		return l.startCluster(ctx, starting)
	}
	go func() {
		if err := l.standins.Run(ctx); err != nil {
			l.log.Error("the kubelet ended", "error", err)
		}
	}()
	g, starting := errgroup.WithContext(starting)
	g.Go(func() error { return l.start(starting, part.ControllerManager) })
	g.Go(func() error {
		if err := l.progress.step(starting, "nodes", l.registerNodes); err != nil {
			return err
		}
		return l.start(starting, part.KubeProxy)
	})
	g.Go(func() error { return l.start(starting, part.Web) })
	g.Go(func() error { return l.startIngot(ctx, starting) })
	return g.Wait()
}

func (l *Lab) registerNodes(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, name := range l.topology.Nodes() {
		g.Go(func() error {
			return standin.Register(ctx, l.client, standin.Node{
				Name: name, Addresses: l.topology.Addresses(name, topology.Mgmt), PodCIDRs: topology.PodCIDRs(i + 1),
			})
		})
	}
	return g.Wait()
}

// start starts all parts of a kind at once; a lab may have none.
func (l *Lab) start(ctx context.Context, kind string) error {
	var parts []*Part
	for _, p := range l.parts {
		if p.name.Kind == kind {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	title := kind
	if len(parts) > 1 {
		title = fmt.Sprintf("%s × %d", kind, len(parts))
	}
	return l.progress.step(ctx, title, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, p := range parts {
			g.Go(func() error { return p.Start(ctx) })
		}
		return g.Wait()
	})
}

// sideBySide starts all parts of some kinds at once.
func (l *Lab) sideBySide(ctx context.Context, kinds ...string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, kind := range kinds {
		g.Go(func() error { return l.start(ctx, kind) })
	}
	return g.Wait()
}

// last are the kinds that others need for ending well. They end after all others, in this order.
var last = []string{part.KubeAPIServer, part.Etcd, part.IngotEtcd}

// down asks every process to end and waits for a while. What is still there then goes with this process.
func (l *Lab) down() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l.closeKubelets(ctx)
	var waves [][]*Part
	for _, kind := range append([]string{""}, last...) {
		var wave []*Part
		for _, p := range l.parts {
			if p.name.Kind == kind || kind == "" && !slices.Contains(last, p.name.Kind) {
				wave = append(wave, p)
			}
		}
		waves = append(waves, wave)
	}
	for _, wave := range waves {
		var ends sync.WaitGroup
		for _, p := range wave {
			ends.Go(func() {
				if err := p.Stop(ctx); err != nil {
					l.log.Warn("a part did not end when asked to, and is killed", "part", p.name.String(), "error", err)
				}
			})
		}
		ends.Wait()
	}
}

// environment is what every program of the lab gets.
func environment(bin string) []string {
	return []string{
		"PATH=" + bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + frrLibexec,
		"HOME=/root", "LANG=C.UTF-8", "TZ=" + os.Getenv("TZ"),
	}
}
