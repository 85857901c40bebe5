package env

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Field is what a fieldRef's path names of a Pod. Only volumes can have all labels or all annotations.
func Field(pod *corev1.Pod, path string) (string, error) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	case "status.hostIPs":
		var all []string
		for _, ip := range pod.Status.HostIPs {
			all = append(all, ip.IP)
		}
		return strings.Join(all, ","), nil
	case "status.podIP":
		return pod.Status.PodIP, nil
	case "status.podIPs":
		var all []string
		for _, ip := range pod.Status.PodIPs {
			all = append(all, ip.IP)
		}
		return strings.Join(all, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath %q", path)
}

func subscript(path, of string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(path, of+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

func lines(values map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		all = append(all, key+"="+strconv.Quote(values[key]))
	}
	return strings.Join(all, "\n")
}

// Resource is what a resourceFieldRef names, in units of its divisor, rounded up. A limit that is not set is what the node
// has to give.
func Resource(pod *corev1.Pod, container string, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	if ref.ContainerName != "" {
		container = ref.ContainerName
	}
	all := append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...)
	i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == container })
	if i < 0 {
		return "", fmt.Errorf("container %s not found", container)
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	var quantity resource.Quantity
	switch kind {
	case "limits":
		var ok bool
		if quantity, ok = all[i].Resources.Limits[corev1.ResourceName(name)]; !ok {
			quantity = allocatable[corev1.ResourceName(name)]
		}
	case "requests":
		quantity = all[i].Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("unsupported container resource: %s", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := quantity.Value(), divisor.Value()
	if name == string(corev1.ResourceCPU) {
		value, unit = quantity.MilliValue(), divisor.MilliValue()
	}
	return strconv.FormatInt((value+unit-1)/unit, 10), nil
}
