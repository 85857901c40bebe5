// Package part names the parts of a lab that can be killed, stopped and started: kube-apiserver, speaker/node1,
// apiserver/1. It is pure.
package part

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of parts.
const (
	Etcd              = "etcd"
	IngotEtcd         = "ingot-etcd"
	KubeAPIServer     = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	KubeProxy         = "kube-proxy"
	Kubelet           = "kubelet"
	DNS               = "dns"
	FRR               = "frr"
	Web               = "web"
	APIServer         = "apiserver"
	Controller        = "controller"
	Speaker           = "speaker"
	Webhooks          = "webhooks"
)

// instances says what follows the slash in the name of each kind; "" is a kind there is one of.
var instances = map[string]string{
	Etcd: "", IngotEtcd: "", KubeAPIServer: "", ControllerManager: "", Scheduler: "", DNS: "", FRR: "", Controller: "", Webhooks: "",
	APIServer: "1", KubeProxy: "node1", Kubelet: "node1", Speaker: "node1", Web: "node1",
}

// Name is a part: its kind, and which one of that kind ("" where there is only one).
type Name struct {
	Kind, Instance string
}

// String writes the name as it is typed: kind/instance.
func (n Name) String() string {
	if n.Instance == "" {
		return n.Kind
	}
	return n.Kind + "/" + n.Instance
}

// Parse reads a name and checks that a lab may have such a part. The error names what is accepted.
func Parse(s string) (Name, error) {
	kind, instance, slash := strings.Cut(s, "/")
	example, known := instances[kind]
	switch {
	case !known:
		return Name{}, fmt.Errorf("no part %q: parts are %s", s, strings.Join(Examples(), ", "))
	case example == "" && slash:
		return Name{}, fmt.Errorf("no part %q: there is one %s, named %s", s, kind, kind)
	case example != "" && instance == "":
		return Name{}, fmt.Errorf("part %q: say which %s, as in %s/%s", s, kind, kind, example)
	}
	return Name{Kind: kind, Instance: instance}, nil
}

// Examples is one name of each kind, sorted.
func Examples() []string {
	var names []string
	for kind, instance := range instances {
		names = append(names, Name{kind, instance}.String())
	}
	slices.Sort(names)
	return names
}

// NotHere says that the lab which has the given parts has no part n.
func NotHere(n Name, have []string) error {
	return fmt.Errorf("no part %s in this lab: it has %s", n, strings.Join(have, ", "))
}
