package kubelet

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/deploy/image"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
)

// containers reads states: r running, w waiting, b waiting after an end, 0 ended well, 1 ended badly.
func containers(states string) (all []corev1.ContainerStatus) {
	for _, state := range states {
		s := corev1.ContainerStatus{Name: string(state)}
		ended := &corev1.ContainerStateTerminated{ExitCode: int32(state - '0')}
		switch state {
		case 'r':
			s.State.Running, s.Ready = &corev1.ContainerStateRunning{}, true
		case 'w':
			s.State = waiting("ContainerCreating", "")
		case 'b':
			s.State = waiting("CrashLoopBackOff", "")
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
		default:
			s.State.Terminated = ended
			s.Ready = state == '0'
		}
		all = append(all, s)
	}
	return all
}

func TestPhase(t *testing.T) {
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	for _, c := range []struct {
		policy     corev1.RestartPolicy
		init, main string
		want       corev1.PodPhase
	}{
		{always, "", "w", corev1.PodPending}, {always, "", "r", corev1.PodRunning}, {always, "", "rw", corev1.PodPending},
		{always, "", "rb", corev1.PodRunning}, {always, "", "b", corev1.PodRunning}, {always, "", "0", corev1.PodRunning},
		{always, "w", "w", corev1.PodPending}, {always, "1", "w", corev1.PodPending}, {always, "0", "r", corev1.PodRunning},
		{never, "1", "w", corev1.PodFailed}, {never, "0", "0", corev1.PodSucceeded}, {never, "", "01", corev1.PodFailed},
		{never, "", "r1", corev1.PodRunning}, {never, "", "00", corev1.PodSucceeded},
		{onFailure, "", "1", corev1.PodRunning}, {onFailure, "", "0", corev1.PodSucceeded}, {onFailure, "1", "w", corev1.PodPending},
	} {
		if got := phaseOf(c.policy, containers(c.init), containers(c.main)); got != c.want {
			t.Errorf("%s, init %q, %q: %s, want %s", c.policy, c.init, c.main, got, c.want)
		}
	}
}

func TestStatusKeepsWhatOthersWroteAndTimes(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways}}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(early)}
	ips := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	p := picture{pod: pod, main: containers("w"), networked: true, started: early, host: ips[:1], ips: ips}
	first := p.status(corev1.PodStatus{QOSClass: corev1.PodQOSBurstable, Conditions: []corev1.PodCondition{scheduled}}, early)
	p.main = containers("r")
	second := p.status(first, late)

	type condition struct {
		Status corev1.ConditionStatus
		Since  int64
		Reason string
	}
	got := map[corev1.PodConditionType]condition{}
	for _, c := range second.Conditions {
		got[c.Type] = condition{c.Status, c.LastTransitionTime.Unix(), c.Reason}
	}
	want := map[corev1.PodConditionType]condition{
		corev1.PodScheduled: {corev1.ConditionTrue, 1000, ""}, corev1.PodReadyToStartContainers: {corev1.ConditionTrue, 1000, ""},
		corev1.PodInitialized: {corev1.ConditionTrue, 1000, ""}, corev1.ContainersReady: {corev1.ConditionTrue, 2000, ""},
		corev1.PodReady: {corev1.ConditionTrue, 2000, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if second.Phase != corev1.PodRunning || second.ObservedGeneration != 3 || second.QOSClass != corev1.PodQOSBurstable ||
		second.HostIP != "10.0.0.1" || len(second.PodIPs) != 2 || second.StartTime.Unix() != 1000 {
		t.Errorf("%+v", second)
	}
	if diff := cmp.Diff(second, p.status(second, late.Add(time.Hour))); diff != "" {
		t.Errorf("the same again is another status:\n%s", diff)
	}
}

func TestReadinessGates(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "x"}}}}
	p := picture{pod: pod, main: containers("r")}
	for status, want := range map[corev1.ConditionStatus]corev1.ConditionStatus{"": "False", "False": "False", "True": "True"} {
		before := corev1.PodStatus{}
		if status != "" {
			before.Conditions = []corev1.PodCondition{{Type: "x", Status: status}}
		}
		for _, c := range p.status(before, time.Now()).Conditions {
			if c.Type == corev1.PodReady && c.Status != want {
				t.Errorf("with the gate %q: ready %s", status, c.Status)
			}
		}
	}
}

func TestResolver(t *testing.T) {
	dns := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	const node = "search example.com\nnameserver 192.0.2.1\noptions edns0 ndots:1\n# no more\n"
	const cluster = "search ns.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\noptions ndots:5\n"
	two := "2"
	for _, c := range []struct {
		policy corev1.DNSPolicy
		host   bool
		config *corev1.PodDNSConfig
		want   string
	}{
		{corev1.DNSClusterFirst, false, nil, cluster},
		{corev1.DNSClusterFirst, true, nil, "search example.com\nnameserver 192.0.2.1\noptions edns0 ndots:1\n"},
		{corev1.DNSClusterFirstWithHostNet, true, nil, cluster},
		{corev1.DNSDefault, false, nil, "search example.com\nnameserver 192.0.2.1\noptions edns0 ndots:1\n"},
		{corev1.DNSNone, false, &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.9"}}, "nameserver 192.0.2.9\n"},
		{corev1.DNSClusterFirst, false, &corev1.PodDNSConfig{Searches: []string{"x"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "rotate"}}},
			"search ns.svc.cluster.local svc.cluster.local cluster.local example.com x\nnameserver 10.96.0.10\noptions ndots:2 rotate\n"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, Spec: corev1.PodSpec{DNSPolicy: c.policy, HostNetwork: c.host, DNSConfig: c.config}}
		if diff := cmp.Diff(c.want, resolvConf(pod, dns, "cluster.local", node)); diff != "" {
			t.Errorf("%s, host network %v (-want +got):\n%s", c.policy, c.host, diff)
		}
	}
}

func TestHosts(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "etcd-0"}, Spec: corev1.PodSpec{
		Hostname: "etcd-0", Subdomain: "etcd", HostAliases: []corev1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"a", "b"}}},
	}}
	got := hosts(pod, []netip.Addr{netip.MustParseAddr("10.244.1.2")}, "cluster.local")
	for _, want := range []string{"127.0.0.1\tlocalhost\n", "10.244.1.2\tetcd-0.etcd.ns.svc.cluster.local\tetcd-0\n", "192.0.2.1\ta\tb\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestIdentity(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	yes, no := true, false
	nobody, root := image.Image{User: 65534, Group: 65534}, image.Image{}
	for name, c := range map[string]struct {
		image     image.Image
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		want      container.Process
		refused   string
	}{
		"the image's":         {image: nobody, want: container.Process{User: 65534, Group: 65534}},
		"the pod's":           {image: nobody, pod: &corev1.PodSecurityContext{RunAsUser: number(5), RunAsGroup: number(6), FSGroup: number(7), SupplementalGroups: []int64{8}}, want: container.Process{User: 5, Group: 6, Groups: []int{8, 7}}},
		"unknown to image":    {image: nobody, pod: &corev1.PodSecurityContext{RunAsUser: number(5)}, want: container.Process{User: 5}},
		"the container's":     {image: root, pod: &corev1.PodSecurityContext{RunAsUser: number(5)}, container: &corev1.SecurityContext{RunAsUser: number(9), RunAsGroup: number(10), AllowPrivilegeEscalation: &no}, want: container.Process{User: 9, Group: 10, NoNewPrivileges: true}},
		"not root":            {image: nobody, pod: &corev1.PodSecurityContext{RunAsNonRoot: &yes}, want: container.Process{User: 65534, Group: 65534}},
		"image is root":       {image: root, pod: &corev1.PodSecurityContext{RunAsNonRoot: &yes}, refused: `container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		"user is root":        {image: nobody, pod: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: number(0)}, refused: `container's runAsUser breaks non-root policy (pod: "p_ns(u)", container: c)`},
		"allowed by its own":  {image: root, pod: &corev1.PodSecurityContext{RunAsNonRoot: &yes}, container: &corev1.SecurityContext{RunAsNonRoot: &no}},
		"escalation is usual": {image: root, container: &corev1.SecurityContext{AllowPrivilegeEscalation: &yes}},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}, Spec: corev1.PodSpec{SecurityContext: c.pod}}
		got, err := identity(pod, &corev1.Container{Name: "c", SecurityContext: c.container}, c.image)
		if c.refused != "" {
			if err == nil || err.Error() != c.refused {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		got.Capabilities = nil
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}
