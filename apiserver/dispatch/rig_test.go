package dispatch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	restfake "k8s.io/client-go/rest/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch/identity"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/test/await"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// memory is a Store in memory, whose failures and leadership the test decides.
type memory struct {
	lineage string

	mu        sync.Mutex
	config    *metallb.Configuration
	revision  int64
	adoption  Adoption
	decisions map[netip.Addr]plan.Decision
	epoch     uint64
	done      chan struct{} // of the leadership held
	fail      error         // of reads and writes
	failSave  error
	changed   chan struct{}
	ledger    Ledger
	unheard   Ledger // what asking brings to light
	asked     int
	// ledgerChanged receives for each change of ledger.
	ledgerChanged chan struct{}
	may           chan struct{} // receives once for each leadership that may be won
}

func newMemory(config *metallb.Configuration) *memory {
	m := &memory{lineage: "ours", config: config, revision: 1, decisions: map[netip.Addr]plan.Decision{}, changed: make(chan struct{}, 1), ledgerChanged: make(chan struct{}, 1), may: make(chan struct{}, 1)}
	m.changed <- struct{}{}
	m.may <- struct{}{}
	return m
}

func (m *memory) set(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *memory) Lineage() string { return m.lineage }

func (m *memory) Snapshot(context.Context) (*metallb.Configuration, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.config, m.revision, m.fail
}

func (m *memory) Changed(context.Context) <-chan struct{} { return m.changed }

func (m *memory) Campaign(ctx context.Context, _ string) (Leadership, error) {
	select {
	case <-m.may:
	case <-ctx.Done():
		return Leadership{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.done = make(chan struct{})
	return Leadership{Epoch: m.epoch, Done: m.done}, nil
}

func (m *memory) Adoption(context.Context) (Adoption, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.adoption, m.fail
}

func (m *memory) AdoptionChanged(context.Context) <-chan struct{} {
	signals := make(chan struct{}, 1)
	signals <- struct{}{}
	return signals
}

func (m *memory) Adopt(_ context.Context, supersedes []string) (Adoption, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.adoption = Adoption{TimeMs: m.adoption.TimeMs + 1, Supersedes: supersedes}
	return m.adoption, m.fail
}

func (m *memory) Ledger() (Ledger, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger, true
}

func (m *memory) LedgerChanged(ctx context.Context) <-chan struct{} {
	signals := make(chan struct{})
	go func() {
		defer close(signals)
		for {
			select {
			case <-m.ledgerChanged:
			case <-ctx.Done():
				return
			}
			select {
			case signals <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return signals
}

func (m *memory) AskLedger(context.Context, string, []netip.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.fail == nil && m.unheard.Holdings != nil {
		m.ledger = m.unheard
	}
	return m.fail
}

func (m *memory) LoadDecisions(context.Context) (map[netip.Addr]plan.Decision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.decisions), m.fail
}

func (m *memory) SaveDecisions(_ context.Context, epoch uint64, put map[netip.Addr]plan.Decision, drop []netip.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failSave != nil {
		return m.failSave
	}
	if epoch != m.epoch {
		return ErrNotLeader
	}
	maps.Copy(m.decisions, put)
	for _, addr := range drop {
		delete(m.decisions, addr)
	}
	return nil
}

// centre is a running hub with a cluster and a store around it.
type centre struct {
	t      *testing.T
	hub    *Hub
	store  *memory
	client *fake.Clientset
	conn   *grpc.ClientConn
	stop   func() error
	plans  listener
	// address is where it listens.
	address string
}

// configuration announces 10.0.0.0/24 to peer tor, and 10.0.1.0/24 by layer 2.
func configuration() *metallb.Configuration {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "metallb-system", Name: name} }
	return &metallb.Configuration{
		IPAddressPools: []*metallb.IPAddressPool{
			{ObjectMeta: named("bgp"), Spec: metallb.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/24"}}},
			{ObjectMeta: named("l2"), Spec: metallb.IPAddressPoolSpec{Addresses: []string{"10.0.1.0/24"}}},
		},
		BGPPeers: []*metallb.BGPPeer{{ObjectMeta: named("tor"), Spec: metallb.BGPPeerSpec{MyASN: 64512, ASN: 64513, Address: "192.0.2.1", Port: 179}}},
		BGPAdvertisements: []*metallb.BGPAdvertisement{
			{ObjectMeta: named("bgp"), Spec: metallb.BGPAdvertisementSpec{IPAddressPools: []string{"bgp"}}},
		},
		L2Advertisements: []*metallb.L2Advertisement{
			{ObjectMeta: named("l2"), Spec: metallb.L2AdvertisementSpec{IPAddressPools: []string{"l2"}}},
		},
	}
}

func nodeNamed(name string) runtime.Object {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func slice(service string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.1"}}},
	}
}

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-" + "x"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: ip}}}},
	}
}

// newCentre starts a hub for the nodes of the cluster that objects describe, and returns when it would hear of changes there.
func newCentre(t *testing.T, store *memory, objects ...runtime.Object) *centre {
	t.Helper()
	return newCentreAt(t, "127.0.0.1:0", store, objects...)
}

func newCentreAt(t *testing.T, address string, store *memory, objects ...runtime.Object) *centre {
	t.Helper()
	c := &centre{t: t, store: store, client: fake.NewClientset(objects...)}
	c.client.PrependReactor("create", "tokenreviews", reviewToken)
	var listener net.Listener
	await.Success(t, "a listener", func() (err error) { // somebody else may have the address of a centre before for a moment
		listener, err = net.Listen("tcp", address)
		return err
	})
	c.address = listener.Addr().String()
	certificate := certify()
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	var err error
	away := &restfake.RESTClient{Client: restfake.CreateHTTPClient(func(*http.Request) (*http.Response, error) { return nil, errors.New("away") })}
	c.hub, err = newHub(Options{
		Replica: "apiserver-0", Namespace: "metallb-system", Client: c.client, Store: store, DigestKey: []byte("0123456789abcdef"),
		Listener: listener, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}, DataDir: t.TempDir(), Planned: c.plans.hear,
	}, away)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.hub.Run(ctx) }()
	c.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("Run did not return")
		}
	})
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "apiserver"})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	c.awaitWatches()
	return c
}

// awaitWatches waits until the cluster is watched: the client of the test forgets what happens between the list of an
// informer, after which it passes for read, and its watch.
func (c *centre) awaitWatches() {
	c.t.Helper()
	eventually(c.t, "the cluster is watched", func() bool {
		actions := c.client.Actions()
		for _, resource := range []string{"services", "endpointslices", "nodes", "secrets"} {
			if !slices.ContainsFunc(actions, func(a kubetesting.Action) bool { return a.Matches("watch", resource) }) {
				return false
			}
		}
		return true
	})
}

// awaitPlan waits until a plan, though it be a follower's, has an item for a node: every later one is made of what that
// one was made of, or newer.
func (c *centre) awaitPlan(node, item string) {
	c.t.Helper()
	eventually(c.t, item+" is planned for "+node, func() bool {
		n := c.hub.nodes
		n.mu.Lock()
		defer n.mu.Unlock()
		p := n.plans[node]
		return p != nil && p.Items[plan.LaneOf(item)][item] != nil
	})
}

// reviewToken confirms tokens of the form "token of NODE".
func reviewToken(action kubetesting.Action) (bool, runtime.Object, error) {
	review := action.(kubetesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	node, ok := strings.CutPrefix(review.Spec.Token, "token of ")
	if !ok {
		review.Status.Error = "[invalid bearer token, service account token has expired]"
		return true, review, nil
	}
	review.Status = authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{identity.Audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:metallb-system:speaker",
			Extra:    map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/node-name": {node}},
		},
	}
	return true, review, nil
}

// certify makes the certificate of every centre, once.
var certify = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"apiserver"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// eventually waits for a condition.
var eventually = await.True
