package service

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	conflict "k8s.io/client-go/util/retry"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/deploy"
	"github.com/ingot-lb/ingot/test/kubeapi"
)

const system = kubeapi.System

// api is the one server that the tests of this package share.
var api *kubeapi.Server

func TestMain(m *testing.M) { os.Exit(kubeapi.Main(m, share)) }

func share(ctx context.Context, server *kubeapi.Server) (func(), error) {
	api = server
	return func() {}, install(ctx)
}

// install puts in what deploy/ ships of namespace and permissions, and the stand-in for the aggregated API.
func install(ctx context.Context) error {
	crds, err := os.ReadFile("testdata/crds.yaml")
	if err != nil {
		return err
	}
	manifests := [][]byte{crds}
	for _, name := range []string{"namespace.yaml", "controller-rbac.yaml"} {
		content, err := fs.ReadFile(deploy.Base(), name)
		if err != nil {
			return err
		}
		manifests = append(manifests, content)
	}
	if err := api.Create(ctx, manifests...); err != nil {
		return err
	}
	for _, resource := range servedResources {
		if err := api.AwaitServed(ctx, "/apis/metallb.io/v1beta1/"+resource); err != nil {
			return err
		}
	}
	return nil
}

// poolResources are of both kinds of pools; servedResources are all that there are.
var (
	poolResources   = []string{"ipaddresspools", "addresspools"}
	servedResources = append(slices.Clone(poolResources), "ipreservations")
)

// cluster is what a test works with.
type cluster struct {
	testing.TB
	ctx    context.Context
	client kubernetes.Interface
	pools  rest.Interface
	front  *front
	ledger *memoryLedger
}

// newCluster is an empty one: no Services, pools or events.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	client, err := kubernetes.NewForConfig(api.Admin())
	if err != nil {
		t.Fatal(err)
	}
	hc, err := rest.HTTPClientFor(api.Admin())
	if err != nil {
		t.Fatal(err)
	}
	pools, err := NewPoolClient(api.Admin(), hc)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{TB: t, ctx: ctx, client: client, pools: pools, front: newFront(t), ledger: newMemoryLedger()}
	for _, resource := range servedResources {
		if err := pools.Delete().Namespace(system).Resource(resource).Do(ctx).Error(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CoreV1().Events("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, svc := range c.services() {
		if name == "kubernetes" {
			continue
		}
		if len(svc.Finalizers) > 0 { // of a test that did not get to its end
			c.edit(name, func(s *corev1.Service) { s.Finalizers = nil })
		}
		if err := client.CoreV1().Services("default").Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	return c
}

// front stands where the aggregation layer stands: between the controller and the API of pools.
type front struct {
	*httptest.Server
	lost, deaf atomic.Bool
	// old is set while the API has no AddressPools, as before they came to be.
	old atomic.Bool
	// empty is the list, by its path, that is answered once with nothing in it; emptied counts such answers that were taken in.
	empty   atomic.Pointer[emptyList]
	emptied atomic.Int32
	// expired is the path of what cannot be watched from where it was heard of last; it is asked for in vain once.
	expired atomic.Pointer[string]
	patches atomic.Int32 // of the status of pools
	lists   atomic.Int32 // of pools, as metadata
}

// emptyList is an answer that leaves everything out.
type emptyList struct {
	path, apiVersion, kind, revision string
	given                            atomic.Bool
}

// once answers as a server does that has just lost what it had, and then as it was. It reports whether it did.
func (f *front) once(w http.ResponseWriter, r *http.Request) bool {
	if path := f.expired.Load(); path != nil && *path == r.URL.Path && r.Method == http.MethodGet {
		if r.URL.Query().Get("watch") == "" || r.URL.Query().Get("sendInitialEvents") != "" {
			f.expired.CompareAndSwap(path, nil) // everything is asked for
			return false
		}
		gone(w)
		return true
	}
	e := f.empty.Load()
	if e == nil || r.URL.Path != e.path || r.Method != http.MethodGet {
		return false
	}
	if e.given.Load() { // who goes on asking has taken it in
		f.empty.CompareAndSwap(e, nil)
		f.emptied.Add(1)
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Query().Get("watch") == "":
		e.given.Store(true)
		fmt.Fprintf(w, `{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":%q},"items":[]}`, e.apiVersion, e.kind, e.revision)
	case r.URL.Query().Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	default:
		gone(w)
	}
	return true
}

// gone answers that there is no watching from there any more.
func gone(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusGone)
	fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)
}

// viaFront has the controller ask for Kubernetes' own objects through the front, too.
func (c *cluster) viaFront(o *Options) {
	config := Compact(api.Config("controller"))
	config.Host, config.TLSClientConfig = c.front.URL, rest.TLSClientConfig{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.Fatal(err)
	}
	o.Client = client
}

// emptyOnce has the next list at the path answered with nothing, and waits until that was taken in. What is watched is listed anew.
func (c *cluster) emptyOnce(path, apiVersion, kind string) {
	c.Helper()
	list, err := c.client.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	var head struct{ Metadata metav1.ListMeta }
	if err := json.Unmarshal(list, &head); err != nil {
		c.Fatal(err)
	}
	before := c.front.emptied.Load()
	c.front.empty.Store(&emptyList{path: path, apiVersion: apiVersion, kind: kind, revision: head.Metadata.ResourceVersion})
	c.front.CloseClientConnections()
	c.await("an empty list from "+path, func() bool { return c.front.emptied.Load() > before })
}

// listAnew has what is watched at the path listed anew.
func (c *cluster) listAnew(path string) {
	c.Helper()
	c.front.expired.Store(&path)
	c.front.CloseClientConnections()
	c.await("another list of "+path, func() bool { return c.front.expired.Load() == nil })
}

// newFront passes everything on until lost is set: then there are no pools, as with a store that lost its data.
func newFront(t testing.TB) *front {
	t.Helper()
	target, err := url.Parse(api.Admin().Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	proxy.FlushInterval = -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/status") {
			f.patches.Add(1)
		}
		if strings.HasSuffix(r.URL.Path, "/ipaddresspools") && strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			f.lists.Add(1)
		}
		if f.once(w, r) {
			return
		}
		switch {
		case f.deaf.Load() && strings.HasSuffix(r.URL.Path, "addresspools"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case f.old.Load() && strings.HasSuffix(r.URL.Path, "/addresspools"):
			http.NotFound(w, r)
		case !f.lost.Load():
			proxy.ServeHTTP(w, r)
		case r.URL.Query().Get("watch") == "":
			w.Header().Set("Content-Type", "application/json")
			kind := "IPAddressPoolList"
			if strings.HasSuffix(r.URL.Path, "/addresspools") {
				kind = "AddressPoolList"
			}
			fmt.Fprintf(w, `{"apiVersion":"metallb.io/v1beta1","kind":%q,"metadata":{"resourceVersion":"1"},"items":[]}`, kind)
		case r.URL.Query().Get("sendInitialEvents") == "" && r.URL.Query().Get("resourceVersion") != "1":
			gone(w)
		case r.URL.Query().Get("sendInitialEvents") == "":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default: // as by a server that has no streaming lists
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		}
	}))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *front) loseStore() { f.lost.Store(true); f.CloseClientConnections() }

// deafen lets lists and watches of pools fail, but not a request for one pool.
func (f *front) deafen(deaf bool) {
	f.deaf.Store(deaf)
	f.CloseClientConnections()
}

func (f *front) restore() { f.lost.Store(false); f.CloseClientConnections() }

// await waits for what polls true.
func (c *cluster) await(what string, is func() bool) {
	c.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(40 * time.Second)
	for !is() {
		select {
		case <-deadline:
			c.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func (c *cluster) putPool(name string, addresses ...string) {
	c.Helper()
	c.putPoolSpec(name, v1beta1.IPAddressPoolSpec{Addresses: addresses})
}

func (c *cluster) putPoolSpec(name string, spec v1beta1.IPAddressPoolSpec) {
	c.Helper()
	err := conflict.RetryOnConflict(conflict.DefaultBackoff, func() error { // with the controller, which writes the status
		var p v1beta1.IPAddressPool
		err := c.pools.Get().Namespace(system).Resource("ipaddresspools").Name(name).Do(c.ctx).Into(&p)
		if apierrors.IsNotFound(err) {
			p = v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: system}, Spec: spec}
			return c.pools.Post().Namespace(system).Resource("ipaddresspools").Body(&p).Do(c.ctx).Error()
		}
		if err != nil {
			return err
		}
		p.Spec = spec
		return c.pools.Put().Namespace(system).Resource("ipaddresspools").Name(name).Body(&p).Do(c.ctx).Error()
	})
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) deletePool(name string) {
	c.Helper()
	if err := c.pools.Delete().Namespace(system).Resource("ipaddresspools").Name(name).Do(c.ctx).Error(); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) poolStatus(name string) v1beta1.IPAddressPoolStatus {
	c.Helper()
	var p v1beta1.IPAddressPool
	if err := c.pools.Get().Namespace(system).Resource("ipaddresspools").Name(name).Do(c.ctx).Into(&p); err != nil {
		c.Fatal(err)
	}
	return p.Status
}

func (c *cluster) createService(name string, changes ...change) {
	c.Helper()
	svc := newService(name, changes...)
	svc.Spec.ClusterIPs = nil
	if _, err := c.client.CoreV1().Services("default").Create(c.ctx, svc, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) deleteService(name string) {
	c.Helper()
	if err := c.client.CoreV1().Services("default").Delete(c.ctx, name, metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) service(name string) *corev1.Service {
	c.Helper()
	svc, err := c.client.CoreV1().Services("default").Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return svc
}

func (c *cluster) services() map[string]corev1.Service {
	c.Helper()
	list, err := c.client.CoreV1().Services("default").List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	all := map[string]corev1.Service{}
	for _, svc := range list.Items {
		all[svc.Name] = svc
	}
	return all
}

// awaitIP waits until the Service shows exactly ip; "" for none.
func (c *cluster) awaitIP(name, ip string) *corev1.Service {
	c.Helper()
	var svc *corev1.Service
	c.await(fmt.Sprintf("Service %s to have %q", name, ip), func() bool {
		svc = c.service(name)
		return strings.Join(texts(ingressAddrs(svc)), ",") == ip
	})
	return svc
}

// events are reason and message of the Service's events, sorted.
func (c *cluster) events(name string) []string {
	c.Helper()
	uid := c.service(name).UID
	list, err := c.client.CoreV1().Events("default").List(c.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		c.Fatal(err)
	}
	found := map[string]int{}
	for _, e := range list.Items {
		if e.ReportingController == "ipallocator-repair-controller" {
			continue // the kube-apiserver's
		}
		if e.InvolvedObject.UID != uid && e.InvolvedObject.UID != "" {
			continue // another Service's of that name, whose controller may have been cut off while it wrote
		}
		if e.Source.Component != component || e.InvolvedObject.Kind != "Service" || e.InvolvedObject.UID == "" {
			c.Errorf("event %+v", e)
		}
		found[e.Type+" "+e.Reason+": "+e.Message]++
	}
	var out []string
	for _, text := range slices.Sorted(maps.Keys(found)) {
		for range found[text] {
			out = append(out, text)
		}
	}
	return out
}

// awaitEvents waits until the Service has exactly these.
func (c *cluster) awaitEvents(name string, want ...string) {
	c.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if c.Failed() {
			c.Logf("events of %s: %q", name, got)
		}
	}()
	c.await("events of Service "+name, func() bool {
		got = c.events(name)
		return slices.Equal(got, want)
	})
}

// awaitEvent waits until the Service has an event of that reason whose message contains the text.
func (c *cluster) awaitEvent(name, reason, text string) {
	c.Helper()
	c.await(fmt.Sprintf("event %s of Service %s with %q", reason, name, text), func() bool {
		return slices.ContainsFunc(c.events(name), func(e string) bool { return strings.Contains(e, reason+": ") && strings.Contains(e, text) })
	})
}
