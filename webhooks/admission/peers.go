package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta2"
)

// bySecret is the index of peers by the Secret with their password.
const bySecret = "passwordSecret"

// Peers knows which BGPPeers name which Secrets.
type Peers struct{ informer cache.SharedIndexInformer }

// NewPeers returns one that knows nothing until Run.
func NewPeers(cfg *rest.Config, hc *http.Client, namespace string) (*Peers, error) {
	scheme := runtime.NewScheme()
	if err := v1beta2.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering metallb.io/v1beta2: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.GroupVersion = &v1beta2.SchemeGroupVersion
	cfg.APIPath = "/apis"
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType, cfg.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, err
	}
	informer := cache.NewSharedIndexInformer(cache.NewListWatchFromClient(client, "bgppeers", namespace, fields.Everything()),
		&v1beta2.BGPPeer{}, 0, cache.Indexers{bySecret: secretOf})
	// Passwords of peers that have them in their spec, among other things, are none of our business.
	err = informer.SetTransform(func(object any) (any, error) {
		if p, ok := object.(*v1beta2.BGPPeer); ok {
			p.ManagedFields, p.Spec = nil, v1beta2.BGPPeerSpec{PasswordSecret: p.Spec.PasswordSecret}
		}
		return object, nil
	})
	return &Peers{informer}, err
}

func secretOf(object any) ([]string, error) {
	p, ok := object.(*v1beta2.BGPPeer)
	if !ok || p.Spec.PasswordSecret.Name == "" {
		return nil, nil
	}
	return []string{p.Spec.PasswordSecret.Name}, nil
}

// Run listens until ctx ends.
func (p *Peers) Run(ctx context.Context) { p.informer.RunWithContext(ctx) }

// Ready is nil once all peers have been read.
func (p *Peers) Ready() error {
	if !p.informer.HasSynced() {
		return errors.New("BGPPeers have not been read yet")
	}
	return nil
}

// Naming are the names of the peers whose password is in the Secret.
func (p *Peers) Naming(secret string) []string {
	objects, err := p.informer.GetIndexer().ByIndex(bySecret, secret)
	if err != nil {
		return nil // there is no such index, which NewPeers made
	}
	names := make([]string, 0, len(objects))
	for _, object := range objects {
		if peer, ok := object.(*v1beta2.BGPPeer); ok {
			names = append(names, peer.Name)
		}
	}
	return names
}
