package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/test/lab/topology"
	"github.com/ingot-lb/ingot/test/lab/web"
)

const (
	group     = "/apis/metallb.io/v1beta1/namespaces/metallb-system/"
	namespace = corev1.NamespaceDefault
	// firstHost is the host number of the address of the first node's Service.
	firstHost = 181
)

// homes are the addresses of the Service that a node owns when all is well, by node.
func homes() map[string][]netip.Addr {
	all := make(map[string][]netip.Addr)
	for i := 1; i <= nodes; i++ {
		host := firstHost + i - 1
		all[topology.NodeName(i)] = []netip.Addr{
			netip.MustParseAddr(fmt.Sprintf("192.168.222.%d", host)), netip.MustParseAddr(fmt.Sprintf("fd00:222::%d", host)),
		}
	}
	return all
}

func objectName(node string) string { return "matrix-" + node }

// publish makes a pool, an L2Advertisement and a Service for every node. Each Service's traffic stays on the node that
// owns the address, so that a node that is away takes no part of the others' traffic with it: what is measured is who
// has the address, and not how soon a Pod is known to be away.
func publish(ctx context.Context, kube kubernetes.Interface) error {
	for node, addresses := range homes() {
		name := objectName(node)
		var ranges []string
		for _, a := range addresses {
			ranges = append(ranges, fmt.Sprintf("%s-%s", a, a))
		}
		pool := map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"addresses": ranges, "autoAssign": false},
		}
		advertisement := map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": map[string]any{"name": name},
			"spec": map[string]any{
				"ipAddressPools": []string{name}, "nodeSelectors": only(node), "probeAddresses": probed,
			},
		}
		for resource, object := range map[string]any{"ipaddresspools": pool, "l2advertisements": advertisement} {
			if err := post(ctx, kube, resource, object); err != nil {
				return err
			}
		}
		dual, sameNode := corev1.IPFamilyPolicyRequireDualStack, "PreferSameNode"
		_, err := kube.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"metallb.io/address-pool": name}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: new(bool), IPFamilyPolicy: &dual,
				TrafficDistribution: &sameNode, Selector: map[string]string{"app": "web"},
				Ports: []corev1.ServicePort{{Name: "echo", Protocol: corev1.ProtocolUDP, Port: web.EchoPort}},
			},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

func post(ctx context.Context, kube kubernetes.Interface, resource string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	err = kube.CoreV1().RESTClient().Post().AbsPath(group+resource).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// withdraw deletes what publish made.
func withdraw(ctx context.Context, kube kubernetes.Interface) error {
	for node := range homes() {
		name := objectName(node)
		err := kube.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		for _, resource := range []string{"l2advertisements", "ipaddresspools"} {
			err := kube.CoreV1().RESTClient().Delete().AbsPath(group + resource + "/" + name).Do(ctx).Error()
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// states are the SpeakerStates, by node.
func states(ctx context.Context, kube kubernetes.Interface) (map[string]v1beta1.SpeakerStateStatus, error) {
	body, err := kube.CoreV1().RESTClient().Get().AbsPath(group+"speakerstates").SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list v1beta1.SpeakerStateList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	all := make(map[string]v1beta1.SpeakerStateStatus)
	for _, s := range list.Items {
		all[s.Status.Node] = s.Status
	}
	return all, nil
}

// only selects one node.
func only(node string) []any {
	return []any{map[string]any{"matchLabels": map[string]string{corev1.LabelHostname: node}}}
}

// allow lets some nodes own a node's addresses: selectors, or nil for all.
func allow(ctx context.Context, kube kubernetes.Interface, home string, selectors []any) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"nodeSelectors": selectors}})
	if err != nil {
		return err
	}
	return kube.CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(group + "l2advertisements/" + objectName(home)).Body(patch).Do(ctx).Error()
}

// annotate sets an annotation of a Node, or with nil takes it away.
func annotate(ctx context.Context, kube kubernetes.Interface, node, key string, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	if err != nil {
		return err
	}
	_, err = kube.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
