package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestColdStartWithoutDNS: all nodes lose power, and with it what speakers had saved. They come back one before the other, in the
// wrong order: speakers first, which resolve no name, then the apiserver; controller, webhooks and kube-proxies stay away. What
// Services have is announced all the same: the cluster's DNS, or its network, may be behind it.
func TestColdStartWithoutDNS(t *testing.T) {
	routed, lan := settled(t, 70)
	addresses := filepath.Join(t.TempDir(), "addresses") // as the kubelet mounts it
	eventually(t, "the apiserver's address in the ConfigMap", func() error {
		out, err := tryKubectl("", "get", "configmap", "-n", "metallb-system", "ingot-dispatch", "-o", "jsonpath={.data.addresses}")
		if err == nil && !strings.HasPrefix(out, "172.30.0.2:7473\n") {
			err = fmt.Errorf("it has %q", out)
		}
		if err == nil {
			err = os.WriteFile(addresses, []byte(out), 0o644)
		}
		return err
	})

	var parts []string
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		parts = append(parts, "speaker/"+node, "kube-proxy/"+node)
	}
	for _, part := range append(parts, "webhooks", "controller", "apiserver/1") {
		lab(t, "kill", part)
	}
	announcedBy(t, routed, 0)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, nodes)
	state := t.TempDir()
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		go func() {
			defer func() { ended <- struct{}{} }()
			out, err := cluster.Exec(ctx, node, filepath.Join(bin, "speaker"), "--node-name="+node,
				"--dispatch=apiserver-dispatch.metallb-system.svc:7473", "--dispatch-file="+addresses,
				"--dispatch-ca="+filepath.Join(labDir, "ca", "ca.crt"), "--token-file="+filepath.Join(labDir, "tokens", "speaker-"+node),
				"--state-dir="+filepath.Join(state, node), "--grpc-socket="+filepath.Join(state, node+".sock"))
			if ctx.Err() == nil {
				t.Errorf("the speaker of %s ended: %v, %s", node, err, out)
			}
		}()
	}
	t.Cleanup(func() {
		for _, part := range append([]string{"controller", "webhooks"}, parts...) {
			lab(t, "start", part)
		}
		obeying(t)
	})
	t.Cleanup(func() {
		cancel()
		for range nodes {
			<-ended
		}
		for i := range nodes {
			for _, port := range []int{7472, 7474} {
				listenerEnds(t, fmt.Sprintf("node%d", i+1), port)
			}
		}
	})
	for i := range nodes {
		node := fmt.Sprintf("node%d", i+1)
		eventually(t, "the speaker of "+node+" looking for the apiserver at the address of the file", func() error {
			s, err := speakerState(node)
			if err == nil && (len(s.Streams) == 0 || s.Streams[0].Connected || s.Streams[0].LastError == "") {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}

	lab(t, "start", "apiserver/1")
	announcedBy(t, routed, nodes)
	answering(t, lan)
	if out, err := tryIn("control", "curl", "-sS", "--max-time", "3", "http://127.0.0.1:7480/healthz"); err == nil {
		t.Errorf("the controller answers: %s", out)
	}
}
