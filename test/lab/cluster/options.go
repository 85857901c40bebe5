// Package cluster is the wrapper of a lab: the one process that owns every namespace and every program of it, so that
// its end leaves nothing behind. It is process 1 of a pid namespace, in mount and network namespaces of its own.
package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// Options say which lab to build.
type Options struct {
	Dir        string   `json:"dir"` // where everything of the lab is kept; absolute
	Bin        string   `json:"bin"` // where the programs are; absolute
	Nodes      int      `json:"nodes"`
	APIServers int      `json:"apiservers"`
	Router     string   `json:"router"` // frr or none
	Without    []string `json:"without,omitempty"`
	Args       []string `json:"args,omitempty"` // PROGRAM=ARGUMENT: further arguments of our programs, or of kube-apiserver
	// Kubelets makes an ordinary cluster, where kubelets run what a scheduler binds, with nothing of ours in it.
	Kubelets bool `json:"kubelets,omitempty"`
}

// ours are the programs that a lab can do without.
var ours = []string{part.APIServer, part.Controller, part.Speaker, part.Webhooks}

// hidden are directories that the wrapper covers with its own, so that a lab's directory cannot be below them.
var hidden = []string{"/run", "/var/run", "/var/tmp", "/proc", "/sys", "/dev"}

// Validate says what is wrong with the options, and what is accepted.
func (o Options) Validate() error {
	if _, err := o.plan(); err != nil {
		return err
	}
	if o.Router != "frr" && o.Router != "none" {
		return fmt.Errorf("--router %q: frr or none", o.Router)
	}
	for _, w := range o.Without {
		if !slices.Contains(ours, w) {
			return fmt.Errorf("--without %q: any of %s", w, strings.Join(ours, ", "))
		}
	}
	tunable := append([]string{part.KubeAPIServer}, ours...)
	for _, arg := range o.Args {
		if program, _, ok := strings.Cut(arg, "="); !ok || !slices.Contains(tunable, program) {
			return fmt.Errorf("--arg %q: PROGRAM=ARGUMENT with any of %s", arg, strings.Join(tunable, ", "))
		}
	}
	if o.Kubelets && (len(o.Without) > 0 || len(o.Args) > 0 || o.APIServers != 1) {
		return errors.New("--without, --arg and --apiservers are about programs that the lab starts: with kubelets, manifests say what runs")
	}
	for _, d := range hidden {
		if o.Dir == d || strings.HasPrefix(o.Dir, d+"/") {
			return fmt.Errorf("--dir %s: the lab has a %s of its own, choose a directory elsewhere", o.Dir, d)
		}
	}
	return nil
}

func (o Options) with(program string) bool { return !slices.Contains(o.Without, program) }

// further are the arguments of a program beside those that every lab gives it.
func (o Options) further(program string) (args []string) {
	for _, arg := range o.Args {
		if p, argument, _ := strings.Cut(arg, "="); p == program {
			args = append(args, argument)
		}
	}
	return args
}

// file is a path below the lab's directory.
func (o Options) file(elements ...string) string {
	return filepath.Join(append([]string{o.Dir}, elements...)...)
}

// program is the path of one of the programs.
func (o Options) program(name string) string { return filepath.Join(o.Bin, name) }

// programs are those that this lab runs.
func (o Options) programs() []string {
	names := []string{part.Etcd, part.KubeAPIServer, part.ControllerManager, part.KubeProxy}
	if o.Kubelets {
		return append(names, part.Scheduler, "kubectl")
	}
	for _, name := range ours {
		if o.with(name) {
			names = append(names, name)
		}
	}
	return names
}

// plan is the lab's address plan.
func (o Options) plan() (*topology.Topology, error) {
	if o.Kubelets {
		return topology.Deployed(o.Nodes)
	}
	return topology.New(o.Nodes, o.APIServers)
}

// KubeConfig is the file that works in the shell that started the lab.
func KubeConfig(dir string) string { return filepath.Join(dir, "kubeconfig") }

// LogFile is where a part, or the wrapper itself ("lab"), writes its log.
func LogFile(dir, name string) string { return filepath.Join(dir, "log", name+".log") }
