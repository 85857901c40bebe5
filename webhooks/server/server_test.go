package server

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/webhooks/registration"
)

const outside = `metadata.annotations[metallb.io/loadBalancerIPs]: "10.9.9.9": ["10.9.9.9"] is not allowed in config: no address pool gives it away`

func (c *cluster) expectWarnings(what string, want ...string) {
	c.Helper()
	if diff := cmp.Diff(want, c.warnings.take()); diff != "" {
		c.Errorf("%s: warnings (-want +got):\n%s", what, diff)
	}
}

// TestWarns: by default what is wrong is said, and done.
func TestWarns(t *testing.T) {
	c := newCluster(t, nil)
	c.start(false)
	c.awaitAsked()

	svc, err := c.create(c.balancer("bad", "10.9.9.9"))
	if err != nil {
		t.Fatal(err)
	}
	c.expectWarnings("a Service outside every pool", outside)
	if err := c.label("bad", "a"); err != nil {
		t.Error(err)
	}
	c.expectWarnings("labelled", outside)
	svc.Status.Conditions = []metav1.Condition{{Type: "Looked", Status: metav1.ConditionTrue, Reason: "Looked", LastTransitionTime: metav1.Now()}}
	svc.ResourceVersion = ""
	if _, err := c.client.CoreV1().Services(c.namespace).UpdateStatus(c.ctx, svc, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	c.expectWarnings("status")
	if _, err := c.create(c.balancer("good", "192.0.2.10")); err != nil {
		t.Error(err)
	}
	c.expectWarnings("a Service that can be")
	of := c.balancer("of-others", "10.9.9.9")
	of.Spec.LoadBalancerClass = new("example.com/other")
	if _, err := c.create(of); err != nil {
		t.Error(err)
	}
	c.expectWarnings("another class")
	if err := c.client.CoreV1().Services(c.namespace).Delete(c.ctx, "bad", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	c.expectWarnings("deleted")

	// A pool and a Service that needs it, one right after the other.
	c.put("ipaddresspools", "v1beta1", "IPAddressPool", "late", map[string]any{"addresses": []any{"192.0.2.20/32"}})
	if _, err := c.create(c.balancer("late", "192.0.2.20")); err != nil {
		t.Error(err)
	}
	c.expectWarnings("right after its pool")
}

// TestRefusesByLabel: what is new is refused with the same sentence; what was there before the label hinders nobody.
func TestRefusesByLabel(t *testing.T) {
	c := newCluster(t, nil)
	c.start(false)
	c.awaitAsked()
	if _, err := c.create(c.balancer("old", "10.9.9.9")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().Namespaces().Patch(c.ctx, c.namespace, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"ingot.io/enforce":"true"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await.Success(t, "the label to be heard of", func() error {
		_, err := c.client.CoreV1().Services(c.namespace).Create(c.ctx, c.balancer("new", "10.9.9.9"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return nil
		}
		return errNotRefused
	})
	c.warnings.take()

	_, err := c.create(c.balancer("new", "10.9.9.9"))
	c.checkRefusal(err)
	c.expectWarnings("refused")
	if err := c.label("old", "a"); err != nil {
		t.Errorf("what was wrong before: %v", err)
	}
	c.expectWarnings("what was wrong before", outside)
	if _, err := c.client.CoreV1().Services(c.namespace).Patch(c.ctx, "old", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"metallb.io/loadBalancerIPs":"10.9.9.8"}}}`), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("wrong in another way: %v", err)
	}
	if err := c.client.CoreV1().Services(c.namespace).Delete(c.ctx, "old", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting: %v", err)
	}
}

var (
	errNotRefused = errors.New("not refused")
	errNoBundle   = errors.New("there is no bundle")
)

func (c *cluster) checkRefusal(err error) {
	c.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsForbidden(err) {
		c.Fatalf("%v, want 403", err)
	}
	got := status.Status()
	if want := `admission webhook "services.webhooks.ingot.io" denied the request: ` + outside; got.Message != want {
		c.Errorf("message %q, want %q", got.Message, want)
	}
	want := []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: "metadata.annotations[metallb.io/loadBalancerIPs]",
		Message: `["10.9.9.9"] is not allowed in config: no address pool gives it away`}}
	if got.Details == nil || cmp.Diff(want, got.Details.Causes) != "" {
		c.Errorf("details %+v, want causes %+v", got.Details, want)
	}
}

// TestRefusesByFlag: in every namespace.
func TestRefusesByFlag(t *testing.T) {
	c := newCluster(t, nil)
	c.start(true)
	c.awaitAsked()
	_, err := c.create(c.balancer("bad", "10.9.9.9"))
	c.checkRefusal(err)
	if _, err := c.create(c.balancer("good", "192.0.2.10")); err != nil {
		t.Error(err)
	}
}

// TestSecrets: of those that peers name, and never more than a warning.
func TestSecrets(t *testing.T) {
	c := newCluster(t, nil)
	c.put("bgppeers", "v1beta2", "BGPPeer", "router", map[string]any{"passwordSecret": map[string]any{"name": "named"}})
	c.start(true)
	c.awaitAsked()
	secrets := c.client.CoreV1().Secrets(system)
	for _, name := range []string{"named", "other"} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeBasicAuth,
			StringData: map[string]string{"username": "u", "password": "p"}}
		if _, err := secrets.Create(c.ctx, s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // where the test does not get to it
			_ = secrets.Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
	await.True(t, "the peer to be heard of", func() bool {
		c.warnings.take()
		return secrets.Delete(c.ctx, "named", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}) == nil && len(c.warnings.take()) > 0
	})
	patch := func(name, body string) {
		t.Helper()
		if _, err := secrets.Patch(c.ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	const said = `Secret "named", which BGPPeer router names in spec.passwordSecret, `
	patch("named", `{"stringData":{"password":"q"}}`)
	c.expectWarnings("another password")
	if err := secrets.Delete(c.ctx, "named", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	c.expectWarnings("deleted for a try", said+"is deleted: without its password there is no BGP session")
	patch("named", `{"data":{"password":null}}`)
	c.expectWarnings("password removed", said+`has no key "password" any longer: without its password there is no BGP session`)
	for _, name := range []string{"named", "other"} {
		if err := secrets.Delete(c.ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		c.expectWarnings("deleted " + name)
	}
}

// TestBundleIsKept: whoever takes it away, or makes another CA.
func TestBundleIsKept(t *testing.T) {
	c := newCluster(t, nil)
	c.start(false)
	c.awaitAsked()
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(c.ctx, registration.Name,
		types.JSONPatchType, []byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await.Success(t, "the bundle to be back", func() error {
		found, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(c.ctx, registration.Name, metav1.GetOptions{})
		if err == nil && len(found.Webhooks[0].ClientConfig.CABundle) == 0 {
			err = errNoBundle
		}
		return err
	})
	c.awaitAsked()
}

// TestClass: with --lb-class Services of that class are asked about and others are not, and without it again those without
// one, though nobody but the program has changed what is installed.
func TestClass(t *testing.T) {
	const ours = "example.com/ours"
	c := newCluster(t, nil)
	stop := c.startWith(Options{Class: ours})
	// try creates one of the class, and returns what is said of it.
	try := func(name string, class *string) []string {
		t.Helper()
		c.warnings.take()
		svc := c.balancer(name, "10.9.9.9")
		svc.Spec.LoadBalancerClass = class
		if _, err := c.client.CoreV1().Services(c.namespace).Create(c.ctx, svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		return c.warnings.take()
	}
	await.True(t, "a warning about a Service of the class", func() bool { return len(try("probe", new(ours))) > 0 })
	if diff := cmp.Diff([]string{outside}, try("of-ours", new(ours))); diff != "" {
		t.Errorf("of our class: warnings (-want +got):\n%s", diff)
	}
	for name, class := range map[string]*string{"of-others": new("example.com/others"), "of-none": nil} {
		if got := try(name, class); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	stop()

	c.start(false)
	c.awaitAsked()
	await.True(t, "those of the class to be nobody's", func() bool { return len(try("of-ours", new(ours))) == 0 })
	found, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(c.ctx, registration.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, condition := range found.Webhooks[0].MatchConditions {
		names = append(names, condition.Name)
	}
	if diff := cmp.Diff([]string{"load-balancer", "of-our-class", "not-being-deleted"}, names); diff != "" {
		t.Errorf("conditions (-shipped +found):\n%s", diff)
	}
}

// deaf takes connections and never answers, as a stopped process does.
func deaf(t *testing.T) (port int, asked *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int64{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			defer conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().(*net.TCPAddr).Port, asked
}

// TestDelaysNoOtherWrite: with nobody who answers, only load balancers of ours wait, and are admitted.
func TestDelaysNoOtherWrite(t *testing.T) {
	c := newCluster(t, nil)
	stop := c.start(true)
	c.awaitAsked()
	stop()
	if _, err := c.create(c.balancer("while-away", "10.9.9.9")); err != nil {
		t.Errorf("with nobody there: %v", err)
	}

	port, asked := deaf(t)
	c.direct(port, 3*time.Second)
	await.True(t, "the kube-apiserver to ask there", func() bool {
		_, err := c.client.CoreV1().Services(c.namespace).Create(c.ctx, c.balancer("probe", "10.9.9.9"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && asked.Load() > 0
	})
	before := c.failedOpen()
	inner := c.balancer("inner", "10.9.9.9")
	inner.Spec.Type = corev1.ServiceTypeClusterIP
	other := c.balancer("other", "10.9.9.9")
	other.Spec.LoadBalancerClass = new("example.com/other")
	for _, svc := range []*corev1.Service{inner, other} {
		if _, err := c.create(svc); err != nil {
			t.Error(err)
		}
		if err := c.label(svc.Name, "a"); err != nil {
			t.Error(err)
		}
	}
	svc, err := c.client.CoreV1().Services(c.namespace).Get(c.ctx, "while-away", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().Services(c.namespace).UpdateStatus(c.ctx, svc, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	for _, namespace := range []string{system, c.namespace} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: corev1.SecretTypeOpaque}
		if namespace != system {
			secret.Type, secret.StringData = corev1.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "p"}
		}
		if _, err := c.client.CoreV1().Secrets(namespace).Create(c.ctx, secret, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		if err := c.client.CoreV1().Secrets(namespace).Delete(c.ctx, "s", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	if n := c.failedOpen(); n != before {
		t.Errorf("%d of the other writes were asked about", n-before)
	}
	if _, err := c.create(c.balancer("while-slow", "10.9.9.9")); err != nil {
		t.Errorf("with nobody who answers: %v", err)
	}
	if n := c.failedOpen(); n != before+1 {
		t.Errorf("a load balancer was asked about %d times", n-before)
	}
}
