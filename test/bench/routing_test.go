package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

const (
	group   = "/apis/metallb.io/v1beta1/namespaces/metallb-system/"
	peers   = "/apis/metallb.io/v1beta2/namespaces/metallb-system/bgppeers"
	samples = 20                       // of what is told by its median and its worst
	atOnce  = 1000                     // Services
	watched = "10.201.0.0-10.201.0.19" // samples of them
	all     = "10.200.0.0/16"
	pods    = "default" // the namespace of the lab's Pods, and so of Services in front of them
)

// BenchmarkRouting measures how long it takes from the moment at which a Service's address is written, as a watch of
// Services tells, to its route in the kernel of a real router: one Service after the other, and many at once.
func BenchmarkRouting(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), slow)
	defer cancel()
	l, client := startRouted(ctx, b, 3)
	routes := monitor(ctx, b, l)
	seen := watch(ctx, b, client, pods)
	for b.Loop() {
		post(ctx, b, client, group+"ipaddresspools", poolOf("watched", watched))
		var took []time.Duration
		for i := range samples {
			name := fmt.Sprintf("one-%d", i)
			if err := createRouted(ctx, client, name); err != nil {
				b.Fatal(err)
			}
			seen.until(b, "an address of "+name, func() bool { return seen.addresses[pods+"/"+name] != "" })
			address, written := seen.address(name)
			took = append(took, max(0, routes.appeared(b, address).Sub(written)))
		}
		report(b, "ms-address-to-route", took)

		if err := together(0, atOnce, func(i int) error { return createRouted(ctx, client, fmt.Sprintf("many-%d", i)) }); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		post(ctx, b, client, group+"ipaddresspools", poolOf("all", all))
		seen.until(b, "addresses of all", func() bool { return len(seen.addresses) == samples+atOnce })
		last := began
		for i := range atOnce {
			address, _ := seen.address(fmt.Sprintf("many-%d", i))
			if at := routes.appeared(b, address); at.After(last) {
				last = at
			}
		}
		b.ReportMetric(seen.last.Sub(began).Seconds(), "s-1000-written")
		b.ReportMetric(last.Sub(began).Seconds(), "s-1000-routed")
	}
}

// BenchmarkLinkCut measures how long after its cable is cut at the switch a node's route leaves the router's kernel: with
// BFD, as a share of the detection time that both sides agreed on, and without, when the hold time of 9 s has to end.
func BenchmarkLinkCut(b *testing.B) {
	for _, way := range []struct {
		name     string
		interval int // ms
		runs     int
	}{{"BFD300x3", 300, samples}, {"BFD50x3", 50, samples}, {"NoBFD", 0, samples}} {
		b.Run(way.name, func(b *testing.B) {
			ctx, cancel := context.WithTimeout(b.Context(), slow)
			defer cancel()
			l, client := startRouted(ctx, b, 1)
			if way.interval > 0 {
				withBFD(ctx, b, l, client, way.interval)
			}
			routes := monitor(ctx, b, l)
			post(ctx, b, client, group+"ipaddresspools", poolOf("watched", watched))
			if err := createRouted(ctx, client, "one"); err != nil {
				b.Fatal(err)
			}
			var address string
			waitFor(b, "an address", func() (err error) {
				svc, err := client.CoreV1().Services(pods).Get(ctx, "one", metav1.GetOptions{})
				if err == nil && len(svc.Status.LoadBalancer.Ingress) == 0 {
					err = fmt.Errorf("none yet")
				}
				if err == nil {
					address = svc.Status.LoadBalancer.Ingress[0].IP
				}
				return err
			})
			for b.Loop() {
				var took []time.Duration
				for range way.runs {
					routes.appeared(b, address)
					if way.interval > 0 {
						bfdUp(ctx, b, l, way.interval)
					}
					routes.forget(address)
					cut := time.Now()
					if err := control.Call(ctx, l.Dir(), control.Request{Verb: control.Cut, Place: "node1", Link: "lan"}, nil); err != nil {
						b.Fatal(err)
					}
					took = append(took, routes.vanished(b, address).Sub(cut))
					if err := control.Call(ctx, l.Dir(), control.Request{Verb: control.Heal, Place: "node1", Link: "lan"}, nil); err != nil {
						b.Fatal(err)
					}
				}
				report(b, "ms-to-withdrawn", took)
				if way.interval > 0 {
					detection := time.Duration(3*way.interval) * time.Millisecond
					b.ReportMetric(float64(took[len(took)/2])/float64(detection), "median-of-detection")
					b.ReportMetric(float64(took[len(took)-1])/float64(detection), "worst-of-detection")
				}
			}
		})
	}
}

// report sorts what it is given.
func report(b *testing.B, unit string, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, unit+"-median")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, unit+"-worst")
}

// startRouted builds a lab whose nodes have BGP sessions with the router, over its IPv4 address.
func startRouted(ctx context.Context, b *testing.B, nodes int) (*labtest.Lab, kubernetes.Interface) {
	b.Helper()
	l, client := startLab(ctx, b, nodes)
	post(ctx, b, client, group+"bgpadvertisements", `{"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"all"}}`)
	post(ctx, b, client, peers, `{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"router"},
		"spec":{"myASN":64500,"peerASN":64501,"peerAddress":"192.168.222.1","holdTime":"9s","keepaliveTime":"3s","connectTime":"1s"}}`)
	waitFor(b, "sessions with the router", func() error {
		out, err := l.Exec(ctx, "router", "vtysh", "-c", "show bgp ipv4 unicast summary json")
		if n := strings.Count(out, `"state":"Established"`); err == nil && n != nodes {
			err = fmt.Errorf("%d of %d are established", n, nodes)
		}
		return err
	})
	return l, client
}

// withBFD makes both sides watch each other with these timers, in milliseconds.
func withBFD(ctx context.Context, b *testing.B, l *labtest.Lab, client kubernetes.Interface, interval int) {
	b.Helper()
	commands := []string{
		"configure terminal", "bfd", "profile figures", fmt.Sprintf("receive-interval %d", interval), fmt.Sprintf("transmit-interval %d", interval),
		"exit", "exit", "router bgp 64501", "neighbor nodes bfd profile figures",
	}
	args := []string{"vtysh"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if _, err := l.Exec(ctx, "router", args...); err != nil {
		b.Fatal(err)
	}
	post(ctx, b, client, group+"bfdprofiles", fmt.Sprintf(
		`{"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"name":"figures"},"spec":{"receiveInterval":%[1]d,"transmitInterval":%[1]d}}`, interval))
	if err := client.CoreV1().RESTClient().Patch("application/merge-patch+json").AbsPath(peers + "/router").
		Body([]byte(`{"spec":{"bfdProfile":"figures"}}`)).Do(ctx).Error(); err != nil {
		b.Fatal(err)
	}
}

// bfdUp waits until both sides use the timers.
func bfdUp(ctx context.Context, b *testing.B, l *labtest.Lab, interval int) {
	b.Helper()
	waitFor(b, "BFD with its timers", func() error {
		out, err := l.Exec(ctx, "router", "vtysh", "-c", "show bfd peers json")
		if err != nil {
			return err
		}
		var sessions []struct {
			Status   string `json:"status"`
			Receive  int    `json:"receive-interval"`
			Transmit int    `json:"remote-transmit-interval"`
		}
		if err := json.Unmarshal([]byte(out), &sessions); err != nil {
			return err
		}
		if len(sessions) != 1 || sessions[0].Status != "up" || sessions[0].Receive != interval || sessions[0].Transmit != interval {
			return fmt.Errorf("the router has %+v", sessions)
		}
		return nil
	})
}

func poolOf(name, addresses string) string {
	return fmt.Sprintf(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":%q},"spec":{"addresses":[%q]}}`, name, addresses)
}

func post(ctx context.Context, b *testing.B, client kubernetes.Interface, path, body string) {
	b.Helper()
	err := client.CoreV1().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx).Error()
	if err != nil {
		b.Fatal(err)
	}
}

// createRouted makes a Service in front of the lab's Pods.
func createRouted(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Services(pods).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: new(bool),
			Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	return err
}
