package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// ErrForeign is why an object is left alone that has the name of one that is wanted: the operator did not make it.
var ErrForeign = errors.New("not made by the operator")

// Cluster is where objects are kept. Its methods but Run and Synced are for one goroutine.
type Cluster struct {
	client    dynamic.Interface
	namespace string
	log       *slog.Logger
	repaired  func(kind string)
	informers map[string]cache.SharedIndexInformer
	applied   map[string]applied
}

// applied is an object as it was last left: what was wanted, and what was there after that.
type applied struct{ wanted, live, version string }

// Options of a Cluster.
type Options struct {
	Client    dynamic.Interface
	Namespace string
	// Changed hears that something of what is kept may have changed. It must not block.
	Changed func()
	// Repaired hears of the kind of each object that somebody else had changed.
	Repaired func(kind string)
	Log      *slog.Logger
}

// New returns a Cluster that knows nothing before Run.
func New(o Options) (*Cluster, error) {
	c := &Cluster{client: o.Client, namespace: o.Namespace, log: o.Log, repaired: o.Repaired,
		informers: map[string]cache.SharedIndexInformer{}, applied: map[string]applied{}}
	for _, k := range kinds {
		informer := dynamicinformer.NewFilteredDynamicInformer(o.Client, k.resource, c.namespaceOf(k), 0, cache.Indexers{}, k.selectOurs).Informer()
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { o.Changed() },
			UpdateFunc: func(any, any) { o.Changed() },
			DeleteFunc: func(any) { o.Changed() },
		})
		if err != nil {
			return nil, fmt.Errorf("informer of %s: %w", k.resource.Resource, err)
		}
		c.informers[k.name] = informer
	}
	return c, nil
}

// Run follows what is there, until ctx ends.
func (c *Cluster) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, informer := range c.informers {
		wg.Go(func() { informer.RunWithContext(ctx) })
	}
	wg.Wait()
}

// Synced says whether everything that is there has been read.
func (c *Cluster) Synced() bool {
	for _, informer := range c.informers {
		if !informer.HasSynced() {
			return false
		}
	}
	return true
}

func (c *Cluster) namespaceOf(k kind) string {
	if k.global != "" {
		return metav1.NamespaceAll
	}
	return c.namespace
}

func (c *Cluster) objects(k kind) dynamic.ResourceInterface {
	if k.global != "" {
		return c.client.Resource(k.resource)
	}
	return c.client.Resource(k.resource).Namespace(c.namespace)
}

func kindOf(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("objects of kind %s are not known here", name)
}

// Known is an object of ours as it was last heard of, and must not be changed; nil where there is none.
func (c *Cluster) Known(kindName, name string) *unstructured.Unstructured {
	informer, found := c.informers[kindName]
	if !found {
		return nil
	}
	k, err := kindOf(kindName)
	if err != nil {
		return nil
	}
	key := name
	if k.global == "" {
		key = c.namespace + "/" + name
	}
	o, found, err := informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil
	}
	return o.(*unstructured.Unstructured)
}

// Apply makes an object what is wanted, and returns it as it is then. What others have beside it in metadata stays, and in
// spec goes. With adopt, what somebody else made becomes ours; without, it is ErrForeign.
func (c *Cluster) Apply(ctx context.Context, wanted *unstructured.Unstructured, adopt bool) (*unstructured.Unstructured, error) {
	k, err := kindOf(wanted.GetKind())
	if err != nil {
		return nil, err
	}
	name, key := wanted.GetName(), wanted.GetKind()+" "+wanted.GetName()
	live := c.Known(k.name, name)
	if live == nil {
		live, err = c.objects(k).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			live, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", key, err)
		}
	}
	if live != nil && !ours(live) && !adopt {
		return nil, fmt.Errorf("%s: %w", key, ErrForeign)
	}
	last, known := c.applied[key]
	now := applied{wanted: digest(wanted.Object)}
	if live != nil && known && last.wanted == now.wanted && last.live == content(live) {
		return live, nil
	}
	if live != nil {
		if live, err = c.claim(ctx, k, live); err != nil {
			return nil, fmt.Errorf("take over what others put into %s: %w", key, err)
		}
	}
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: true}
	result, err := c.objects(k).Apply(ctx, name, wanted, options)
	if apierrors.IsInvalid(err) && live != nil && !k.pods {
		// What is there beside ours, and has no manager any more, cannot be beside it: another port of the same name, say.
		if err := c.remove(ctx, k, live); err != nil {
			return nil, err
		}
		result, err = c.objects(k).Apply(ctx, name, wanted, options)
	}
	if err != nil {
		return nil, fmt.Errorf("apply %s: %w", key, err)
	}
	now.live, now.version = content(result), result.GetResourceVersion()
	c.applied[key] = now
	switch {
	case live == nil:
		c.log.Info("made an object", "event", "objectMade", "kind", k.name, "name", name)
	case now.version == last.version || now.version == live.GetResourceVersion(): // nothing was wrong
	case !known || last.wanted != now.wanted:
		c.log.Info("changed an object", "event", "objectChanged", "kind", k.name, "name", name)
	default:
		c.log.Warn("put right what somebody changed", "event", "objectRepaired", "kind", k.name, "name", name)
		c.repaired(k.name)
	}
	return result, nil
}

// content tells an object from the same with other content, whatever its status is.
func content(o *unstructured.Unstructured) string {
	trimmed := map[string]any{}
	for key, value := range o.Object {
		if key != "status" && key != "metadata" {
			trimmed[key] = value
		}
	}
	trimmed["uid"], trimmed["labels"], trimmed["annotations"] = string(o.GetUID()), o.GetLabels(), o.GetAnnotations()
	trimmed["ends"] = o.GetDeletionTimestamp() != nil
	return digest(trimmed)
}

// digest is of what JSON can hold, which objects are made of.
func digest(object any) string {
	text, err := json.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("apply: an object out of JSON does not go back: %v", err))
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}
