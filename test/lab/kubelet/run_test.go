package kubelet_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ingot-lb/ingot/test/await"
)

func TestContainerIsAsItsManifestSays(t *testing.T) {
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a": "1", "b": "2"}})
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "password"}, StringData: map[string]string{"p": "secret"}})
	makePod(t, "report", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.SecurityContext = &corev1.PodSecurityContext{
			RunAsUser: ptr(int64(1000)), RunAsGroup: ptr(int64(1001)), FSGroup: ptr(int64(1002)), RunAsNonRoot: ptr(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		c := &p.Spec.Containers[0]
		c.Args = []string{"report", "$(NODE)", "$$(NODE)", "$(NONE)"}
		c.WorkingDir = "/work"
		c.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
		c.EnvFrom = []corev1.EnvFromSource{{Prefix: "S_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}
		c.Env = []corev1.EnvVar{
			{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
			{Name: "IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "password"}, Key: "p"}}},
			{Name: "BOTH", Value: "$(NODE)/$(S_a)"},
		}
	})
	p := awaitPod(t, "report", "done", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	var got report
	mustJSON(t, logsOf(t, "report", corev1.PodLogOptions{}), &got)
	env := map[string]string{}
	for _, name := range []string{"NODE", "IP", "P", "BOTH", "S_b", "FROM_IMAGE", "HOSTNAME", "KUBERNETES_SERVICE_HOST"} {
		env[name] = valueOf(got.Env, name)
	}
	got.Env = nil
	want := report{
		PID: 1, User: 1000, Group: 1001, Groups: []int{1002}, Capabilities: "0000000000000000", NoNewPrivileges: true,
		Hostname: "report", Dir: "/work", Args: []string{"report", "node1", "$(NODE)", "$(NONE)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"NODE": "node1", "IP": address.String(), "P": "secret", "BOTH": "node1/1", "S_b": "2", "FROM_IMAGE": "yes", "HOSTNAME": "report",
		"KUBERNETES_SERVICE_HOST": "10.96.0.1",
	}, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	ended := p.Status.ContainerStatuses[0].State.Terminated
	if ended == nil || ended.Reason != "Completed" || condition(p, corev1.PodReady) != corev1.ConditionFalse {
		t.Errorf("status %+v", p.Status)
	}
}

func TestRootKeepsWhatIsAdded(t *testing.T) {
	makePod(t, "caps", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].Args = []string{"report"}
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{
			Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"},
		}}
	})
	awaitPod(t, "caps", "done", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	var got report
	mustJSON(t, logsOf(t, "caps", corev1.PodLogOptions{}), &got)
	if got.Capabilities != "0000000000003000" || got.NoNewPrivileges || !got.RootWritable || !got.Keys {
		t.Errorf("%+v", got)
	}
}

func TestManifestsThatCannotBeFollowedAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change          func(*corev1.Pod)
		reason, message string
	}{
		"root": {func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr(true)} },
			"CreateContainerConfigError", "container has runAsNonRoot and image will run as root"},
		"user-root": {func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(0))}
		}, "CreateContainerConfigError", "container's runAsUser breaks non-root policy"},
		"host-pid": {func(p *corev1.Pod) { p.Spec.HostPID = true }, "CreateContainerConfigError", "does not support hostPID"},
		"no-image": {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "test/none" }, "ImagePullBackOff", `Back-off pulling image "test/none"`},
		"no-secret": {func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}}}}
		}, "CreateContainerConfigError", `secret "none" not found`},
		"no-command": {func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"none"} }, "CrashLoopBackOff", ""},
		"no-hostpath": {func(p *corev1.Pod) {
			mount(p, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/none", Type: ptr(corev1.HostPathDirectory)}})
		}, "ContainerCreating", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			makePod(t, name, c.change)
			awaitPod(t, name, c.reason, func(p *corev1.Pod) bool {
				if len(p.Status.ContainerStatuses) == 0 {
					return false
				}
				w := p.Status.ContainerStatuses[0].State.Waiting
				return w != nil && w.Reason == c.reason && strings.Contains(w.Message, c.message)
			})
			switch name {
			case "no-hostpath":
				awaitEvent(t, name, `FailedMount: MountVolume.SetUp failed for volume "v" : hostPath type check failed: /none is not a directory`)
			case "no-command":
				awaitEvent(t, name, `exec: "none": executable file not found in $PATH`)
			default:
				awaitEvent(t, name, "Failed: ")
			}
		})
	}
}

func TestRestartsBackOff(t *testing.T) {
	makePod(t, "crash", func(p *corev1.Pod) { p.Spec.Containers[0].Args = []string{"exit", "3", "last words"} })
	p := awaitPod(t, "crash", "restarting again and again", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount >= 3 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if last == nil || last.ExitCode != 3 || last.Reason != "Error" || last.Message != "last words" || p.Status.Phase != corev1.PodRunning {
		t.Errorf("status %+v", p.Status)
	}
	awaitEvent(t, "crash", "BackOff: Back-off restarting failed container main in pod crash_default("+string(p.UID)+")")
	// Another start, which takes the log away that was the previous one, may come while it is read.
	await.True(t, "the log of the start before", func() bool {
		got := logsOf(t, "crash", corev1.PodLogOptions{Previous: true})
		return strings.Contains(got, "exiting with 3\n") && strings.Contains(got, "complaining\n")
	})
}

func TestRestartPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy corev1.RestartPolicy
		code   string
		want   corev1.PodPhase
	}{
		"never-failed":  {corev1.RestartPolicyNever, "1", corev1.PodFailed},
		"never-well":    {corev1.RestartPolicyNever, "0", corev1.PodSucceeded},
		"onfailure-ok":  {corev1.RestartPolicyOnFailure, "0", corev1.PodSucceeded},
		"onfailure-bad": {corev1.RestartPolicyOnFailure, "1", corev1.PodRunning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			makePod(t, name, func(p *corev1.Pod) {
				p.Spec.RestartPolicy = c.policy
				p.Spec.Containers[0].Args = []string{"exit", c.code}
			})
			awaitPod(t, name, string(c.want), func(p *corev1.Pod) bool {
				return p.Status.Phase == c.want && (c.want != corev1.PodRunning || p.Status.ContainerStatuses[0].RestartCount > 0)
			})
		})
	}
}

func TestInitContainersComeFirst(t *testing.T) {
	makePod(t, "init", func(p *corev1.Pod) {
		mount(p, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}})
		p.Spec.InitContainers = []corev1.Container{{
			Name: "first", Image: "test/program", Args: []string{"write", "/v/done", "yes"}, VolumeMounts: p.Spec.Containers[0].VolumeMounts,
		}}
	})
	p := awaitRunning(t, "init")
	if got := ask(t, "init", "read", "/v/done"); got != "yes" {
		t.Errorf("left by the init container: %q", got)
	}
	if s := p.Status.InitContainerStatuses; len(s) != 1 || s[0].State.Terminated == nil || !s[0].Ready {
		t.Errorf("init containers: %+v", s)
	}
}

func TestProbes(t *testing.T) {
	const port = 8080
	makePod(t, "probed", func(p *corev1.Pod) {
		mount(p, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
		c := &p.Spec.Containers[0]
		c.Args = []string{"serve", netip.AddrPortFrom(address, port).String(), "/v/ready"}
		c.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: port}}
		probe := func(failures int32, how corev1.ProbeHandler) *corev1.Probe {
			return &corev1.Probe{PeriodSeconds: 1, TimeoutSeconds: 20, FailureThreshold: failures, ProbeHandler: how}
		}
		c.StartupProbe = probe(60, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}})
		c.ReadinessProbe = probe(1, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("http")}})
		c.LivenessProbe = probe(2, corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/program", "read", "/v/alive"}}})
		p.Spec.InitContainers = []corev1.Container{{
			Name: "alive", Image: "test/program", Args: []string{"write", "/v/alive", ""}, VolumeMounts: c.VolumeMounts,
		}}
	})
	awaitPod(t, "probed", "started, not ready", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].Started != nil && *s[0].Started && !s[0].Ready
	})
	awaitEvent(t, "probed", "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503")
	ask(t, "probed", "write", "/v/ready", "")
	awaitPod(t, "probed", "ready", func(p *corev1.Pod) bool { return condition(p, corev1.PodReady) == corev1.ConditionTrue })
	ask(t, "probed", "remove", "/v/ready")
	awaitPod(t, "probed", "no longer ready", func(p *corev1.Pod) bool { return condition(p, corev1.PodReady) == corev1.ConditionFalse })
	ask(t, "probed", "remove", "/v/alive")
	awaitEvent(t, "probed", "Killing: Container main failed liveness probe, will be restarted")
	awaitPod(t, "probed", "restarted", func(p *corev1.Pod) bool { return p.Status.ContainerStatuses[0].RestartCount > 0 })
}

func TestDeletionGivesGrace(t *testing.T) {
	for name, program := range map[string]string{"polite": "wait", "stubborn": "stubborn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			makePod(t, name, func(p *corev1.Pod) {
				p.Spec.Containers[0].Args = []string{program}
				if program == "wait" {
					p.Spec.TerminationGracePeriodSeconds = ptr(int64(600))
				}
			})
			awaitRunning(t, name)
			await.True(t, "it has begun", func() bool { return logsOf(t, name, corev1.PodLogOptions{}) == "waiting\n" })
			began := time.Now()
			if err := client.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			gone(t, name)
			if took := time.Since(began); name == "stubborn" && took < time.Second {
				t.Errorf("its grace was %v", took)
			}
			awaitEvent(t, name, "Killing: Stopping container main")
		})
	}
}

func TestContainersOutliveTheirKubelet(t *testing.T) {
	makePod(t, "stays", func(*corev1.Pod) {})
	makePod(t, "deleted-meanwhile", func(*corev1.Pod) {})
	before := awaitRunning(t, "stays").Status.ContainerStatuses[0].ContainerID
	awaitRunning(t, "deleted-meanwhile")
	node.do(t, "stop", "", "")
	if err := client.CoreV1().Pods(namespace).Delete(t.Context(), "deleted-meanwhile", metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))}); err != nil {
		t.Fatal(err)
	}
	if node.do(t, "find", "stays", "main").PID == 0 {
		t.Error("the container has ended with its kubelet")
	}
	node.do(t, "run", "", "")
	await.True(t, "what has no Pod any more to end", func() bool {
		err := node.verbs.Encode(request{"find", "deleted-meanwhile", "main"})
		var a answer
		return err == nil && node.answers.Decode(&a) == nil && a.Error != ""
	})
	p := awaitRunning(t, "stays")
	if got := p.Status.ContainerStatuses[0]; got.ContainerID != before || got.RestartCount != 0 {
		t.Errorf("it was started again: %+v", got)
	}
	// This kubelet is at another port, which the node's status has in a moment.
	await.Success(t, "a command in it", func() error {
		_, errs, status := run(t, "stays", "", false, "/program", "report")
		if status != 0 {
			return fmt.Errorf("exit status %d: %s", status, errs)
		}
		return nil
	})
}

func TestWhatIsHeldStaysDown(t *testing.T) {
	makePod(t, "held", func(*corev1.Pod) {})
	awaitRunning(t, "held")
	if c := node.do(t, "find", "held", "main"); c.PID == 0 || !c.Ready || c.Starts != 1 || c.LogPath == "" {
		t.Errorf("%+v", c)
	}
	node.do(t, "hold", "held", "main")
	node.do(t, "kill", "held", "main")
	awaitPod(t, "held", "ended", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses[0].State.Terminated
		return s != nil && s.ExitCode == 137 && condition(p, corev1.PodReady) == corev1.ConditionFalse
	})
	if c := node.do(t, "find", "held", "main"); c.PID != 0 || !c.Held || c.Starts != 1 {
		t.Errorf("%+v", c)
	}
	node.do(t, "release", "held", "main")
	awaitPod(t, "held", "started again", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses[0]
		return s.State.Running != nil && s.RestartCount == 1
	})
}

func TestNodeIsReadyAndGivesSignsOfLife(t *testing.T) {
	var n *corev1.Node
	await.Success(t, "the node", func() (err error) {
		n, err = client.CoreV1().Nodes().Get(t.Context(), nodeName, metav1.GetOptions{})
		return err
	})
	await.True(t, "the node to be ready", func() bool {
		n, _ = client.CoreV1().Nodes().Get(t.Context(), nodeName, metav1.GetOptions{})
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
	if n.Status.DaemonEndpoints.KubeletEndpoint.Port == 0 || n.Status.Allocatable.Pods().Value() == 0 {
		t.Errorf("status %+v", n.Status)
	}
	var first *metav1.MicroTime
	await.True(t, "two signs of life", func() bool {
		lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), nodeName, metav1.GetOptions{})
		if err != nil {
			return false
		}
		if first == nil {
			first = lease.Spec.RenewTime
		}
		return lease.Spec.RenewTime.After(first.Time)
	})
}
