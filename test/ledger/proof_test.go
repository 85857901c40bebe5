package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/speaker/backoff"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/kubeapi"
	"github.com/ingot-lb/ingot/test/ledger"
)

const (
	users    = 4
	services = 14 // that fight for 8 addresses
	// rivalry is how long controllers work that do not know of each other.
	rivalry = 9 * time.Second
	// pastLease is longer than a Lease lasts.
	pastLease = 6500 * time.Millisecond
	// rounds is how often rivals go on at most, where the machine is so slow that little has happened.
	rounds = 20
	// patience is how long anything may take that processes have to start for, on such a machine.
	patience = 2 * time.Minute
)

// TestOneAddressOneOwner is promise 2 of design.md: controllers allocate at the same time, are stopped in the middle of
// what they do and continued when another has done it, and killed; the API server of the ledger is killed, and so is the
// kube-apiserver; users and pools change all the while. Every revision that etcd ever held is judged: no address has two owners, in no status and not in the
// ledger, and no status shows what the ledger does not have.
func TestOneAddressOneOwner(t *testing.T) {
	f := newFight(t)
	f.sharing = true
	end := f.disturbances()
	f.rivals(rival, rivalry)
	restarted := f.restartAPI()
	f.rivals(rival, rivalry/2)
	restarted()
	fought := func(c *ledger.Checker) bool {
		return c.Shows >= 100 && c.Claims >= 100 && c.Shared >= 5 && f.terms() >= 6
	}
	for n := 0; n < rounds && !fought(f.verdict()); n++ {
		f.rivals(rival, rivalry/2)
	}
	f.replacement()
	end()
	f.settle()

	c := f.verdict()
	for _, fault := range c.Faults {
		t.Error(fault)
	}
	t.Logf("%d changes of statuses, %d of the ledger, %d of shared addresses, %d terms", c.Shows, c.Claims, c.Shared, f.terms())
	if !fought(c) {
		t.Errorf("that was no fight: %d changes of statuses, %d of the ledger, %d of shared addresses, %d terms", c.Shows, c.Claims, c.Shared, f.terms())
	}
}

// TestProofSeesThatTheLedgerIsMissing: the same fight of controllers to whom everything is granted, until the proof finds
// out. No Service shares its address.
func TestProofSeesThatTheLedgerIsMissing(t *testing.T) {
	f := newFight(t)
	end := f.disturbances()
	defer end()
	for range rounds {
		f.rivals(blind, rivalry/2)
		doubles := slices.DeleteFunc(f.verdict().Faults, func(fault string) bool { return !strings.Contains(fault, "two owners in statuses") })
		if len(doubles) > 0 {
			t.Logf("%d addresses with two owners; the first: %s", len(doubles), doubles[0])
			return
		}
	}
	t.Error("no address had two owners though no controller asked for any: the proof proves nothing")
}

// fight is a kube-apiserver and the API server of the ledger on one etcd, whose revisions put all in one order.
type fight struct {
	t      *testing.T
	ctx    context.Context
	api    *kubeapi.Server
	etcd   *clientv3.Client
	kube   kubernetes.Interface
	pools  rest.Interface
	env    []string
	ledger *process
	began  int64 // the revision
	// sharing is set where users let Services share addresses.
	sharing bool
}

func newFight(t *testing.T) *fight {
	t.Helper()
	f := &fight{t: t}
	var cancel context.CancelFunc
	f.ctx, cancel = context.WithTimeout(t.Context(), 9*time.Minute) // what is judged would be compacted after ten
	t.Cleanup(cancel)
	api, err := kubeapi.Start(f.ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.api = api
	t.Cleanup(api.Stop)
	if f.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{api.Etcd()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.etcd.Close() }) // with watches that are of no interest any more
	admin := api.Admin()
	if f.kube, err = kubernetes.NewForConfig(admin); err != nil {
		t.Fatal(err)
	}
	if _, err := f.kube.CoreV1().Namespaces().Create(f.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	address, file := listener(t)
	f.env = []string{envEtcd + "=" + api.Etcd(), envKube + "=" + admin.Host, envToken + "=" + admin.BearerToken, envLedger + "=" + address}
	f.ledger = startProcess(t, apiserver, file, append(f.env, envRole+"="+apiserver)...)
	if f.pools, err = poolClient(address); err != nil {
		t.Fatal(err)
	}
	await.SuccessWithin(t, patience, "a pool", func() error { return f.pool("10.0.0.1-10.0.0.8") })
	now, err := f.etcd.Get(f.ctx, ledger.ServicePrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	f.began = now.Header.Revision
	return f
}

// pool makes the pool be the range.
func (f *fight) pool(addresses string) error {
	p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: system}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{addresses}}}
	p.APIVersion, p.Kind = v1beta1.SchemeGroupVersion.String(), "IPAddressPool"
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(f.ctx, 2*time.Second)
	defer cancel()
	return f.pools.Patch(types.ApplyPatchType).Namespace(system).Resource("ipaddresspools").Name("web").
		Param("fieldManager", "test").Param("force", "true").Body(body).Do(ctx).Error()
}

// disturbances lets users, and whoever looks after the pool, change things until the returned function is called.
func (f *fight) disturbances() (end func()) {
	ctx, cancel := context.WithCancel(f.ctx)
	var all sync.WaitGroup
	for range users {
		all.Go(func() {
			for ctx.Err() == nil {
				f.use(ctx, fmt.Sprintf("s%d", rand.N(services)))
				_ = backoff.Sleep(ctx, rand.N(30*time.Millisecond))
			}
		})
	}
	all.Go(func() {
		for _, addresses := range slices.Repeat([]string{"10.0.0.3-10.0.0.10", "10.0.0.1-10.0.0.8", "10.0.0.5-10.0.0.5"}, 100) {
			if backoff.Sleep(ctx, time.Second+rand.N(2*time.Second)) != nil {
				return
			}
			_ = f.pool(addresses) // the API server may be dead just now
		}
	})
	return func() { cancel(); all.Wait() }
}

// use is something that a user does to a Service. That it may be refused is as it should be.
func (f *fight) use(ctx context.Context, name string) {
	all := f.kube.CoreV1().Services("default")
	svc, err := all.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		_, _ = all.Create(ctx, f.newService(name), metav1.CreateOptions{})
		return
	}
	switch rand.N(6) {
	case 0:
		_ = all.Delete(ctx, name, metav1.DeleteOptions{})
		return
	case 1:
		svc.Annotations["metallb.io/loadBalancerIPs"] = fmt.Sprintf("10.0.0.%d", 1+rand.N(10))
	case 2:
		delete(svc.Annotations, "metallb.io/loadBalancerIPs")
	case 3:
		if !f.sharing {
			return
		}
		svc.Annotations["metallb.io/allow-shared-ip"] = fmt.Sprintf("key%d", rand.N(2))
	case 4:
		svc.Spec.Ports[0].Port = 80 + rand.N[int32](4)
	case 5:
		svc.Spec.Type = []corev1.ServiceType{corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP}[rand.N(2)]
	}
	_, _ = all.Update(ctx, svc, metav1.UpdateOptions{})
}

func (f *fight) newService(name string) *corev1.Service {
	annotations := map[string]string{"test": "yes"}
	if f.sharing {
		annotations["metallb.io/allow-shared-ip"] = fmt.Sprintf("key%d", rand.N(2))
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: new(bool), Ports: []corev1.ServicePort{{Port: 80 + rand.N[int32](4)}},
		},
	}
}

// rivals are two controllers that work whenever they like, and are stopped for moments and killed; the API server is
// killed too.
func (f *fight) rivals(role string, d time.Duration) {
	f.t.Helper()
	var two []*process
	for i := range 2 {
		p := startProcess(f.t, fmt.Sprintf("%s %d", role, i), nil, append(f.env, envRole+"="+role)...)
		defer p.kill()
		two = append(two, p)
	}
	for until := time.Now().Add(d); time.Now().Before(until); {
		p := two[rand.N(2)]
		switch rand.N(10) {
		case 0:
			p.kill()
			p.start()
		case 1:
			f.ledger.kill()
			f.ledger.start()
		default:
			p.signal(syscall.SIGSTOP)
			f.sleep(rand.N(600 * time.Millisecond))
			p.signal(syscall.SIGCONT)
		}
		f.sleep(rand.N(400 * time.Millisecond))
	}
}

// restartAPI kills the kube-apiserver, so that nobody knows which statuses were written, and starts it again. The returned
// function waits for that.
func (f *fight) restartAPI() (wait func()) {
	done := make(chan error, 1)
	f.api.StopAPI()
	go func() {
		_ = backoff.Sleep(f.ctx, time.Second) // if ctx ends, StartAPI says so
		done <- f.api.StartAPI(f.ctx)
	}()
	return func() {
		f.t.Helper()
		if err := <-done; err != nil {
			f.t.Fatal(err)
		}
	}
}

// replacement is a leader that is stopped past its Lease, finds another one in its place when it goes on, and is the leader
// again after that has been killed.
func (f *fight) replacement() {
	f.t.Helper()
	two := map[string]*process{}
	for _, id := range []string{"one", "two"} {
		two[id] = startProcess(f.t, elected+" "+id, nil, append(f.env, envRole+"="+elected, envID+"="+id)...)
	}
	leader := ""
	leads := func(other string) {
		f.t.Helper()
		await.SuccessWithin(f.t, patience, "a leader", func() error {
			lease, err := f.kube.CoordinationV1().Leases(system).Get(f.ctx, "metallb-controller", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if holder := lease.Spec.HolderIdentity; holder == nil || *holder == other || two[*holder] == nil {
				return fmt.Errorf("it is not another than %q", other)
			}
			leader = *lease.Spec.HolderIdentity
			return nil
		})
	}
	leads("")
	stopped := leader
	f.sleep(time.Second)
	two[stopped].signal(syscall.SIGSTOP)
	f.sleep(pastLease)
	leads(stopped)
	f.sleep(500 * time.Millisecond)
	two[stopped].signal(syscall.SIGCONT)
	f.sleep(time.Second)
	two[leader].kill()
	leads(leader)
}

func (f *fight) sleep(d time.Duration) {
	if err := backoff.Sleep(f.ctx, d); err != nil {
		f.t.Fatal(err)
	}
}

// settle waits until statuses and ledger agree.
func (f *fight) settle() {
	f.t.Helper()
	await.SuccessWithin(f.t, patience, "statuses and ledger that agree", func() error {
		c := ledger.New()
		for _, prefix := range []string{ledger.ServicePrefix, ledger.AllocationPrefix} {
			now, err := f.etcd.Get(f.ctx, prefix, clientv3.WithPrefix())
			if err != nil {
				return err
			}
			for _, kv := range now.Kvs {
				if err := c.Step(string(kv.Key), kv.Value); err != nil {
					return err
				}
			}
		}
		if differ := c.Unsettled(); len(differ) > 0 {
			return fmt.Errorf("%s", strings.Join(differ, "; "))
		}
		return nil
	})
}

// verdict replays everything up to now.
func (f *fight) verdict() *ledger.Checker {
	f.t.Helper()
	end, err := f.etcd.Put(f.ctx, "/test/end", "")
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	c := ledger.New()
	before, err := f.etcd.Get(ctx, ledger.ServicePrefix, clientv3.WithPrefix(), clientv3.WithRev(f.began))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, kv := range before.Kvs {
		if err := c.Step(string(kv.Key), kv.Value); err != nil {
			f.t.Fatal(err)
		}
	}
	revision := f.began
	for resp := range f.etcd.Watch(ctx, "/", clientv3.WithPrefix(), clientv3.WithRev(f.began+1)) {
		if err := resp.Err(); err != nil {
			f.t.Fatal(err)
		}
		for _, ev := range resp.Events {
			key := string(ev.Kv.Key)
			if ev.Kv.ModRevision != revision {
				c.Judge(revision)
				revision = ev.Kv.ModRevision
			}
			if revision >= end.Header.Revision {
				return c
			}
			if !strings.HasPrefix(key, ledger.ServicePrefix) && !strings.HasPrefix(key, ledger.AllocationPrefix) {
				continue
			}
			value := ev.Kv.Value
			if ev.Type == clientv3.EventTypeDelete {
				value = nil
			}
			if err := c.Step(key, value); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	f.t.Fatal("the history ends before the end")
	return nil
}

// terms is how many have begun.
func (f *fight) terms() int64 {
	f.t.Helper()
	now, err := f.etcd.Get(f.ctx, "/ingot/allocator")
	if err != nil {
		f.t.Fatalf("the term: %v", err)
	}
	if len(now.Kvs) == 0 {
		return 0 // none has begun yet
	}
	return now.Kvs[0].Version
}
