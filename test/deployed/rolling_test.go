package deployed

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// few is how many of so many requests may be lost while speakers come and go: one that is open when the router moves it to another
// node is reset there.
func few(asked int) int { return 1 + asked/50 }

// restarts rolls every workload. Who announces goes on, or hands over.
func (c cluster) restarts(t *testing.T) {
	for _, workload := range workloads {
		stop := c.asking(t)
		c.kubectl(t, "rollout", "restart", "-n", system, workload)
		c.rolledOut(t, workload)
		asked, lost := stop()
		t.Logf("%s: %d of %d requests lost", workload, lost, asked)
		if allowed := map[bool]int{true: few(asked)}[workload == "daemonset/speaker"]; lost > allowed || asked == 0 {
			t.Errorf("%s: %d of %d requests lost, at most %d are due to it", workload, lost, asked, allowed)
		}
	}
	c.reached(t)
}

// undo puts in an image that is not there, sees that the rollout gets stuck and what it leaves running, and goes back.
func (c cluster) undo(t *testing.T) {
	for workload, container := range map[string]string{"deployment/controller": "controller", "deployment/webhooks": "webhooks", "deployment/apiserver": "apiserver", "daemonset/speaker": "speaker"} {
		stop := c.asking(t)
		c.kubectl(t, "set", "image", "-n", system, workload, container+"=images.example/none:v0")
		eventually(t, workload+" with an image that is not there", func() error {
			out, err := c.try("get", "pods", "-n", system, "-l", "component="+container, "-o", `jsonpath={range .items[*].status.containerStatuses[*]}{.state.waiting.reason} {end}`)
			if err == nil && !strings.Contains(out, "ImagePull") {
				err = fmt.Errorf("waiting for %q", out)
			}
			return err
		})
		c.kubectl(t, "rollout", "undo", "-n", system, workload)
		c.rolledOut(t, workload)
		if asked, lost := stop(); lost > few(asked) || asked == 0 {
			t.Errorf("%s: %d of %d requests lost", workload, lost, asked)
		}
	}
	c.reached(t)
}

// deletedPods come back, and what is announced with them.
func (c cluster) deletedPods(t *testing.T) {
	c.kubectl(t, "delete", "pods", "-n", system, "--all", within)
	c.rolledOut(t, workloads...)
	c.reached(t)
}

// drain empties the node of one webhook while nothing can be scheduled: the other one must not be evicted, by whatever hurry.
func (c cluster) drain(t *testing.T) {
	nodes := []string{"node1", "node2", "node3"}
	for _, node := range nodes {
		c.kubectl(t, "cordon", node)
	}
	on := strings.Fields(c.kubectl(t, "get", "pods", "-n", system, "-l", "component=webhooks", "-o", "jsonpath={.items[*].spec.nodeName}"))
	if len(on) != 2 || on[0] == on[1] {
		t.Fatalf("two webhooks are on %v", on)
	}
	drain := func(node string, patience time.Duration) error {
		_, err := c.try("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+patience.String())
		return err
	}
	if err := drain(on[0], long); err != nil {
		t.Fatal(err)
	}
	if err := drain(on[1], 6*time.Second); err == nil || !strings.Contains(err.Error(), "webhooks") {
		t.Errorf("the last webhook: %v, want that it may not be evicted", err)
	}
	// One that was evicted would not come back, as nothing can be scheduled.
	eventually(t, "the last webhook", func() error {
		ready, err := c.try("get", "pods", "-n", system, "-l", "component=webhooks", "--field-selector=spec.nodeName="+on[1],
			"-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && ready != "True" {
			err = fmt.Errorf("ready: %q", ready)
		}
		return err
	})
	for _, node := range nodes {
		c.kubectl(t, "uncordon", node)
	}
	c.rolledOut(t, workloads...)
	c.reached(t)
}

// replicasRestart rolls the members of etcd, and then the apiservers on it: writes go on.
func (c cluster) replicasRestart(t *testing.T) {
	for _, workload := range []string{"statefulset/etcd", "deployment/apiserver"} {
		stop := c.asking(t)
		end, refused := make(chan struct{}), make(chan error, 1)
		go func() {
			var first error
			for i := 0; first == nil; i++ {
				select {
				case <-end:
					refused <- nil
					return
				default:
				}
				_, first = c.try("annotate", "-n", system, "ipaddresspools.metallb.io", "lan", fmt.Sprintf("example.com/count=%d", i), "--overwrite")
			}
			<-end
			refused <- first
		}()
		c.kubectl(t, "rollout", "restart", "-n", system, workload)
		c.rolledOut(t, workload)
		close(end)
		if err := <-refused; err != nil {
			t.Errorf("%s: a write while it rolled: %v", workload, err)
		}
		if asked, lost := stop(); lost > 0 || asked == 0 {
			t.Errorf("%s: %d of %d requests lost", workload, lost, asked)
		}
	}
	c.reached(t)
}
