package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// allocatable is what every node has to give. Nothing holds containers to it.
func allocatable() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("8Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("20Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

// listen is done in the node's network, on all its addresses.
func (k *Kubelet) listen() (listener net.Listener, err error) {
	in := func(f func() error) error { return f() }
	if k.Network != nil {
		in = k.Network.Do
	}
	err = in(func() error {
		listener, err = net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(k.Config.Port))))
		return err
	})
	if err == nil {
		k.port.Store(uint32(listener.Addr().(*net.TCPAddr).Port))
	}
	return listener, err
}

// keepNode registers the node, and gives signs of life until ctx ends.
func (k *Kubelet) keepNode(ctx context.Context) error {
	started := false
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 1000, Cap: k.Lease / 4}
	for ctx.Err() == nil {
		err := k.sign(ctx, !started)
		delay := wait.Jitter(k.Lease/4, 0.1)
		if err == nil {
			started = true
			backoff.Duration = 100 * time.Millisecond
		} else if ctx.Err() == nil {
			k.log.Warn("the node's signs of life", "error", err)
			delay = backoff.Step()
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
	return nil
}

// sign gives one sign of life: the Lease, and the Node's status at first and where another has said that the node is not ready.
func (k *Kubelet) sign(ctx context.Context, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	node, err := k.Client.CoreV1().Nodes().Get(ctx, k.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = k.Client.CoreV1().Nodes().Create(ctx, k.node(), metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", k.NodeName, err)
	}
	if err := k.renewLease(ctx, node); err != nil {
		return fmt.Errorf("lease of node %s: %w", k.NodeName, err)
	}
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if ready && !first && node.Status.DaemonEndpoints.KubeletEndpoint.Port == int32(k.Port()) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": k.nodeStatus(node.Status)})
	if err != nil {
		return err
	}
	_, err = k.Client.CoreV1().Nodes().Patch(ctx, k.NodeName, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("status of node %s: %w", k.NodeName, err)
	}
	return nil
}

func (k *Kubelet) node() *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.NodeName, Labels: map[string]string{
		corev1.LabelHostname: k.NodeName, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
	}}}
	maps.Copy(node.Labels, k.Labels)
	for _, cidr := range k.PodCIDRs {
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, cidr.String())
		node.Spec.PodCIDR = node.Spec.PodCIDRs[0]
	}
	return node
}

func (k *Kubelet) nodeStatus(before corev1.NodeStatus) corev1.NodeStatus {
	now := metav1.Now()
	status := corev1.NodeStatus{
		Capacity: allocatable(), Allocatable: allocatable(),
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: k.NodeName}},
		NodeInfo: corev1.NodeSystemInfo{
			OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, KubeletVersion: "v1.36.3-lab",
			ContainerRuntimeVersion: "lab://1", OSImage: "the lab's host", MachineID: k.NodeName, SystemUUID: k.NodeName, BootID: k.NodeName,
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(k.Port())}},
		Conditions:      slices.Clone(before.Conditions),
	}
	for _, a := range k.Addresses {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	set := func(kind corev1.NodeConditionType, is corev1.ConditionStatus, reason string) {
		next := corev1.NodeCondition{Type: kind, Status: is, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
		i := slices.IndexFunc(status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind })
		if i < 0 {
			status.Conditions = append(status.Conditions, next)
			return
		}
		if status.Conditions[i].Status == is {
			next.LastTransitionTime = status.Conditions[i].LastTransitionTime
		}
		status.Conditions[i] = next
	}
	set(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory")
	set(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure")
	set(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID")
	set(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady")
	return status
}

// renewLease says that the node is alive, to those who judge nodes.
func (k *Kubelet) renewLease(ctx context.Context, node *corev1.Node) error {
	leases := k.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(max(k.Lease/time.Second, 1))
	spec := coordinationv1.LeaseSpec{HolderIdentity: &k.NodeName, LeaseDurationSeconds: &seconds, RenewTime: &now}
	lease, err := leases.Get(ctx, k.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: k.NodeName, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			}},
			Spec: spec,
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec = spec
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}
