package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// pair is a lab of two apiservers on an etcd of their own, with nothing else of Ingot. It is up beside the other lab.
type pair struct {
	*labtest.Lab
	t *testing.T
}

// couple is the one that all tests share, brought up by the first that wants it.
var couple struct {
	sync.Mutex
	lab *labtest.Lab
	dir string
}

// theCouple is the pair as a test finds it: whole, and without configuration.
func theCouple(t *testing.T) pair {
	t.Helper()
	couple.Lock()
	defer couple.Unlock()
	if couple.lab == nil {
		var err error
		if couple.dir, err = os.MkdirTemp("", "ingot-pair-"); err != nil {
			t.Fatal(err)
		}
		couple.lab, err = labtest.Start(context.Background(), filepath.Join(bin, "lab"), couple.dir,
			labtest.Options{Nodes: 1, APIServers: 2, Router: "none", Without: []string{"controller", "speaker", "webhooks"}})
		if err != nil {
			couple.lab = nil
			t.Fatal(err)
		}
	}
	p := pair{couple.lab, t}
	for _, replica := range []string{"apiserver/1", "apiserver/2"} {
		if _, err := p.Run(t.Context(), "start", replica); err != nil && !strings.Contains(err.Error(), "runs already") {
			t.Fatal(err)
		}
	}
	eventually(t, "an empty configuration", func() error {
		_, err := p.kubectl("", "delete", "ipaddresspools,bfdprofiles", "--all")
		return err
	})
	return p
}

// readCouple adds its audit log to the others'.
func readCouple() error {
	couple.Lock()
	defer couple.Unlock()
	if couple.lab == nil {
		return nil
	}
	return readAudit(couple.lab)
}

// endCouple takes it down.
func endCouple() error {
	couple.Lock()
	defer couple.Unlock()
	if couple.lab == nil {
		return nil
	}
	return errors.Join(couple.lab.Down(context.Background()), os.RemoveAll(couple.dir))
}

func (p pair) do(args ...string) {
	p.t.Helper()
	if _, err := p.Run(p.t.Context(), args...); err != nil {
		p.t.Fatal(err)
	}
}

// serving waits until the Service of the aggregated API has n endpoints that are ready.
func (p pair) serving(n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d replicas behind the Service", n), func() error {
		out, err := p.kubectl("", "get", "endpointslices", "-l", "kubernetes.io/service-name=apiserver", "-o", "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}")
		if ready := len(strings.Fields(out)); err == nil && ready != n {
			err = fmt.Errorf("%d are ready: %s", ready, out)
		}
		return err
	})
}

// kubectl runs kubectl against the pair. What it wrote is returned, failed or not.
func (p pair) kubectl(stdin string, args ...string) (string, error) {
	return output(stdin, filepath.Join(bin, "kubectl"), append([]string{"--kubeconfig", p.KubeConfig(), inSystem}, args...)...)
}

// client is one that tries nothing again by itself.
func (p pair) client() *rest.Config {
	p.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", p.KubeConfig())
	if err != nil {
		p.t.Fatal(err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config
}

var profiles = schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bfdprofiles"}
