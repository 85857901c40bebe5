package dns

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func service(name string, publish bool, ips ...string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: corev1.ServiceSpec{ClusterIP: ips[0], ClusterIPs: ips, PublishNotReadyAddresses: publish}}
}

func slice(service, host, address string, ready bool) *discoveryv1.EndpointSlice {
	e := discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
	if host != "" {
		e.Hostname = &host
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: service + address, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Endpoints:  []discoveryv1.Endpoint{e},
	}
}

func source(t *testing.T) Source {
	t.Helper()
	many := slice("many", "", "10.1.0.0", true)
	for i := range 200 {
		many.Endpoints[0].Addresses = append(many.Endpoints[0].Addresses, fmt.Sprintf("10.1.1.%d", i))
	}
	s, err := Watch(t.Context(), fake.NewClientset(
		service("web", false, "10.96.0.7", "fd96::7"), service("ready", false, "None"), service("all", true, "None"), service("many", false, "None"), many,
		slice("ready", "", "10.0.0.1", true), slice("ready", "", "10.0.0.2", false),
		slice("all", "all-0", "10.0.0.3", false), slice("all", "all-1", "fd00::4", true),
	))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLookup(t *testing.T) {
	s := source(t)
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want []string
	}{
		{"web.ns.svc.cluster.local.", dnsmessage.TypeA, 0, []string{"10.96.0.7"}},
		{"Web.NS.svc.Cluster.Local.", dnsmessage.TypeAAAA, 0, []string{"fd96::7"}},
		{"web.ns.svc.cluster.local.", dnsmessage.TypeMX, 0, nil},
		{"ready.ns.svc.cluster.local.", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"all.ns.svc.cluster.local.", dnsmessage.TypeA, 0, []string{"10.0.0.3"}},
		{"all-0.all.ns.svc.cluster.local.", dnsmessage.TypeA, 0, []string{"10.0.0.3"}},
		{"all-1.all.ns.svc.cluster.local.", dnsmessage.TypeA, 0, nil},
		{"all-1.all.ns.svc.cluster.local.", dnsmessage.TypeAAAA, 0, []string{"fd00::4"}},
		{"all-2.all.ns.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"x.web.ns.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"a.b.all.ns.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"none.ns.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"ns.svc.cluster.local.", dnsmessage.TypeA, 0, nil},
		{"other.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"svc.cluster.local.", dnsmessage.TypeA, 0, nil},
		{"cluster.local.", dnsmessage.TypeA, 0, nil},
		{"pod.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"web.ns.svc.", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, nil},
		{".", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, nil},
		{"7.0.96.10.in-addr.arpa.", dnsmessage.TypePTR, 0, []string{"web.ns.svc.cluster.local."}},
		{"8.0.96.10.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeNameError, nil},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.d.f.ip6.arpa.", dnsmessage.TypePTR, 0, []string{"web.ns.svc.cluster.local."}},
	} {
		answer := Lookup(s, c.name, c.kind)
		var got []string
		for _, a := range answer.Addresses {
			got = append(got, a.String())
		}
		got = append(got, answer.Pointers...)
		if diff := cmp.Diff(c.want, got); diff != "" || answer.Code != c.code {
			t.Errorf("%s %s: %s (-want +got):\n%s", c.name, c.kind, answer.Code, diff)
		}
	}
}

// TestResolvers has Go's resolver ask, over both transports: more addresses than a datagram has room for come over a stream.
func TestResolvers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	// Nobody else on the machine uses this address of loopback, so that what is free there stays free.
	free, err := net.ListenPacket("udp", "127.100.110.115:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	free.Close()
	done, s := make(chan error, 1), source(t)
	go func() { done <- Serve(ctx, s, address, slog.New(slog.DiscardHandler)) }()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	var got []netip.Addr
	for got == nil { // until it listens
		got, _ = resolver.LookupNetIP(ctx, "ip4", "many.ns.svc.cluster.local.")
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		default:
		}
	}
	if len(got) != 201 {
		t.Errorf("%d addresses of a Service that has 201", len(got))
	}
	names, err := resolver.LookupAddr(ctx, "10.96.0.7")
	if diff := cmp.Diff([]string{"web.ns.svc.cluster.local."}, names); diff != "" || err != nil {
		t.Errorf("names of an address: %v (-want +got):\n%s", err, diff)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// FuzzReply takes whatever comes.
func FuzzReply(f *testing.F) {
	for _, name := range []string{"web.ns.svc.cluster.local.", "7.0.96.10.in-addr.arpa.", "."} {
		m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, false)
	}
	var s Source
	f.Fuzz(func(t *testing.T, query []byte, stream bool) {
		if s == nil {
			s = source(t)
		}
		reply, err := Reply(s, query, stream)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || !m.Response {
			t.Errorf("%x is answered by %x: %v", query, reply, err)
		}
		if !stream && len(reply) > most {
			t.Errorf("%d bytes in a datagram", len(reply))
		}
	})
}
