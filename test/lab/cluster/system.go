package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// webImage is the lab's workload as an image: this program, called as `lab web NODE`.
var webImage = image.Image{
	Name: "lab/web", Package: "./test/lab", Entrypoint: []string{"/lab", "web"},
	Files: []image.File{
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "lab", Mode: 0o755, Program: true},
	},
}

// systemObjects are what a cluster has before anybody installs anything: names for its DNS, storage, and here a workload.
//
//go:embed system.yaml
var systemObjects string

// volumesOfNode is how many PersistentVolumes each node has, beside each other on its disk.
const volumesOfNode = 4

// applySystem makes the system's objects.
func (l *Lab) applySystem(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	text := systemObjects
	for _, node := range l.nodes() {
		for i := range volumesOfNode {
			path := fmt.Sprintf("/var/lib/volumes/%d", i+1)
			if err := os.MkdirAll(filepath.Join(l.file("nodes", node), path), 0o755); err != nil {
				return err
			}
			text += fmt.Sprintf("---\n"+volume, node, i+1, path, node)
		}
	}
	objects, err := decode(strings.NewReader(text))
	if err != nil {
		return err
	}
	return l.apply(ctx, objects)
}

// volume is a directory of a node. Nobody empties it after its claim is gone.
const volume = `apiVersion: v1
kind: PersistentVolume
metadata: {name: "%s-%d"}
spec:
  storageClassName: local
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  local: {path: "%s"}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: ["%s"]}]
`

// awaitNodes returns when all nodes are ready, and control is a control-plane node as kubeadm makes one, prepared for
// deploy/single as docs/install.md says.
func (l *Lab) awaitNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	store := filepath.Join(l.file("nodes", topology.Control), "var/lib/ingot")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return err
	}
	if err := os.Chown(store, 65534, 65534); err != nil {
		return err
	}
	for _, node := range l.nodes() {
		var last error
		err := wait.PollUntilContextCancel(ctx, probePeriod, true, func(ctx context.Context) (bool, error) {
			last = l.nodeReady(ctx, node)
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("node %s: %w: %w", node, err, last)
		}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"labels": map[string]string{
			"node-role.kubernetes.io/control-plane": "", corev1.LabelNodeExcludeBalancers: "", "ingot.io/apiserver": "",
		}},
		"spec": map[string]any{"taints": []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}},
	})
	if err != nil {
		return err
	}
	_, err = l.client.CoreV1().Nodes().Patch(ctx, topology.Control, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func (l *Lab) nodeReady(ctx context.Context, name string) error {
	node, err := l.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("it is not ready")
}

// resolves is the probe that every address answers what the kube-apiserver's own Service is.
func resolves(in *netns.Namespace, addresses []string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, address := range addresses {
			resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return in.DialContext(ctx, network, address)
			}}
			if _, err := resolver.LookupNetIP(ctx, "ip4", "kubernetes.default.svc.cluster.local."); err != nil {
				return err
			}
		}
		return nil
	}
}
