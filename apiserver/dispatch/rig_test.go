package dispatch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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
	"google.golang.org/grpc/metadata"
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
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
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

// peer is a speaker's end of a stream, played by a test. It answers heartbeats by itself.
type peer struct {
	t      *testing.T
	node   string
	stream ingotv1.Dispatch_ConnectClient
	in     chan *ingotv1.ConnectResponse // all but heartbeats
	beats  chan uint64
	failed chan error
	cancel context.CancelFunc
	mu     sync.Mutex // of Send
	// epoch is that of the last welcome read; whole is the one of which a full state was read last, by lane.
	epoch uint64
	whole map[ingotv1.Lane]uint64
}

// connect opens a stream for a node with its own token.
func (c *centre) connect(hello *ingotv1.Hello) *peer {
	c.t.Helper()
	return c.dial("token of "+hello.GetNode(), hello)
}

func (c *centre) dial(token string, hello *ingotv1.Hello) *peer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	c.t.Cleanup(cancel)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := ingotv1.NewDispatchClient(c.conn).Connect(ctx, grpc.WaitForReady(true))
	if err != nil {
		c.t.Fatal(err)
	}
	p := &peer{t: c.t, node: hello.GetNode(), stream: stream, cancel: cancel, whole: map[ingotv1.Lane]uint64{},
		in: make(chan *ingotv1.ConnectResponse, 1000), beats: make(chan uint64, 1000), failed: make(chan error, 1)}
	go p.receive()
	p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Hello{Hello: hello}})
	return p
}

func (p *peer) receive() {
	for {
		m, err := p.stream.Recv()
		if err != nil {
			p.failed <- err
			return
		}
		if beat := m.GetHeartbeat(); beat != nil {
			p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Echo: beat.GetSeq()}}})
			p.beats <- beat.GetSeq()
			continue
		}
		p.in <- m
	}
}

// send sends a message; that the stream is over is the receiver's to say.
func (p *peer) send(m *ingotv1.ConnectRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stream.Send(m); err != nil && !errors.Is(err, io.EOF) && p.stream.Context().Err() == nil {
		p.t.Errorf("send: %v", err)
	}
}

func (p *peer) next() *ingotv1.ConnectResponse {
	p.t.Helper()
	select {
	case m := <-p.in:
		p.read(m)
		return m
	case err := <-p.failed:
		p.t.Fatalf("%s: the stream ended: %v", p.node, err)
	case <-time.After(patience):
		p.t.Fatalf("%s: nothing came", p.node)
	}
	return nil
}

// read notes how far the centre is.
func (p *peer) read(m *ingotv1.ConnectResponse) {
	if w := m.GetWelcome(); w != nil {
		p.epoch = w.GetEpoch()
	}
	if u := m.GetUpdate(); u.GetFullEnd() {
		p.whole[u.GetLane()] = u.GetEpoch()
	}
}

func (p *peer) welcome() *ingotv1.Welcome {
	p.t.Helper()
	m := p.next()
	if m.GetWelcome() == nil {
		p.t.Fatalf("%s: got %v, want a welcome", p.node, m)
	}
	return m.GetWelcome()
}

// update returns the next update of a lane; updates of the other are acknowledged on the way.
func (p *peer) update(lane ingotv1.Lane) *ingotv1.Update {
	p.t.Helper()
	for {
		m := p.next()
		u := m.GetUpdate()
		switch {
		case u == nil:
			p.t.Fatalf("%s: got %v, want an update", p.node, m)
		case u.GetLane() == lane:
			return u
		}
		p.ack(applied(u))
	}
}

// given returns the next update that gives the node an address in a role; others are acknowledged on the way.
func (p *peer) given(address string, role ingotv1.Layer2Address_Role) (*ingotv1.Update, *ingotv1.Layer2Address) {
	p.t.Helper()
	for {
		u := p.update(layer2Lane)
		if l2 := addressIn(u, address); l2 != nil && l2.GetRole() == role {
			return u, l2
		}
		p.ack(applied(u))
	}
}

// taken returns the next update that takes an address from the node, and why; others are acknowledged on the way.
func (p *peer) taken(address string) (*ingotv1.Update, string) {
	p.t.Helper()
	for {
		u := p.update(layer2Lane)
		for _, r := range u.GetRemovals() {
			if r.GetId() == "layer2/"+address {
				return u, r.GetReason()
			}
		}
		p.ack(applied(u))
	}
}

// deposed returns the next welcome, which must say that the replica does not lead; updates are acknowledged on the way.
func (p *peer) deposed() *ingotv1.Welcome {
	p.t.Helper()
	for {
		m := p.next()
		if u := m.GetUpdate(); u != nil {
			p.ack(applied(u))
			continue
		}
		if w := m.GetWelcome(); w == nil || w.GetLeading() {
			p.t.Fatalf("%s: got %v, want a welcome of one that does not lead", p.node, m)
		}
		return m.GetWelcome()
	}
}

func (p *peer) ack(ack *ingotv1.Ack) {
	p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Ack{Ack: ack}})
}

// end waits for the stream to end, and returns why.
func (p *peer) end() error {
	p.t.Helper()
	for {
		select {
		case <-p.in:
		case err := <-p.failed:
			return err
		case <-time.After(patience):
			p.t.Fatalf("%s: the stream goes on", p.node)
		}
	}
}

// silence fails if anything but heartbeats comes until two more of these came.
func (p *peer) silence() {
	p.t.Helper()
	for len(p.beats) > 0 {
		<-p.beats
	}
	for range 2 {
		select {
		case m := <-p.in:
			p.t.Fatalf("%s: got %v, want silence", p.node, m)
		case err := <-p.failed:
			p.t.Fatalf("%s: the stream ended: %v", p.node, err)
		case <-p.beats:
		case <-time.After(patience):
			p.t.Fatalf("%s: not even a heartbeat", p.node)
		}
	}
}

// obey acknowledges what comes until it has the full state of both lanes and nothing comes any more but heartbeats.
func (p *peer) obey() {
	p.t.Helper()
	p.idle(func(*ingotv1.Update) {})
}

// idle is obey that has a look at each update.
func (p *peer) idle(look func(*ingotv1.Update)) {
	p.t.Helper()
	for len(p.beats) > 0 {
		<-p.beats
	}
	for quiet := 0; quiet < 2; {
		select {
		case m := <-p.in:
			p.read(m)
			if u := m.GetUpdate(); u != nil {
				look(u)
				p.ack(applied(u))
			}
			quiet = 0
		case err := <-p.failed:
			p.t.Fatalf("%s: the stream ended: %v", p.node, err)
		case <-p.beats:
			if p.whole[routing] == p.epoch && p.whole[layer2Lane] == p.epoch {
				quiet++
			}
		case <-time.After(patience):
			p.t.Fatalf("%s: not even a heartbeat", p.node)
		}
	}
}

func hello(node string, held ...*ingotv1.HeldItem) *ingotv1.Hello {
	return &ingotv1.Hello{Node: node, Instance: "instance of " + node, Lineage: "ours", Held: held}
}

// holding is what a speaker says that it took an update.
func heldOf(u *ingotv1.Update) (held []*ingotv1.HeldItem) {
	for _, item := range u.GetUpserts() {
		held = append(held, &ingotv1.HeldItem{
			Lane: u.GetLane(), Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED,
			Term: item.GetLayer2Address().GetTerm(), Role: item.GetLayer2Address().GetRole(),
		})
	}
	return held
}

// names are the ids that an update names, without digests.
func names(u *ingotv1.Update) string {
	var words []string
	for _, item := range u.GetUpserts() {
		words = append(words, "+"+item.GetId())
	}
	for _, id := range u.GetKept() {
		words = append(words, "="+id)
	}
	for _, r := range u.GetRemovals() {
		words = append(words, fmt.Sprintf("-%s (%s)", r.GetId(), r.GetReason()))
	}
	return strings.Join(words, " ")
}
