package lineage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Store is the store that is guarded.
type Store interface {
	// Identity is what it is known by, as it was last looked at.
	Identity() Identity
	// Look looks again, and Begin begins a store where there is none.
	Look(ctx context.Context) (bool, error)
	Begin(ctx context.Context) error
	// Restore fills an etcd without a store; it asks the host cluster for what the rules need of it.
	Restore(ctx context.Context, c *export.Content) error
}

// Options say what a guard guards.
type Options struct {
	Client    kubernetes.Interface
	Namespace string
	// Where the store is, in words.
	Where string
	Store Store
	// Changed is called when Err has changed. It may be nil, and must not block.
	Changed func()
	Log     *slog.Logger
}

// Guard says whether a store may be used.
type Guard struct {
	options Options
	record  record
	// doing is held while something is decided: by the guard itself, or for an administrator.
	doing sync.Mutex

	mu       sync.Mutex
	err      error
	accepted chan struct{} // closed when err became nil for the first time
	once     sync.Once
}

var errUnasked = errors.New("the kube-apiserver has not been asked yet whether this store is the cluster's")

// New returns a guard that refuses, until Run.
func New(o Options) *Guard {
	return &Guard{options: o, record: record{o.Client, o.Namespace}, err: errUnasked, accepted: make(chan struct{})}
}

// Err says why the store may not be used; nil: it may.
func (g *Guard) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Accepted is closed when the store was accepted for the first time.
func (g *Guard) Accepted() <-chan struct{} { return g.accepted }

// Intervals, with jitter: while the store is not accepted, and afterwards.
const (
	soon = 2 * time.Second
	late = 30 * time.Second
	// requestTimeout bounds what is done at once, but for a restoration.
	requestTimeout = 10 * time.Second
)

// Run keeps the judgement current until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := soon
		if g.Step(ctx) == nil {
			wait = late
		}
		if backoff.Sleep(ctx, wait/2+rand.N(wait/2)) != nil {
			return
		}
	}
}

// Step judges once, does what follows, and returns what Err says then.
func (g *Guard) Step(ctx context.Context) error {
	g.doing.Lock()
	defer g.doing.Unlock()
	err := g.step(ctx)
	if ctx.Err() == nil {
		g.set(ctx, err)
	}
	return err
}

func (g *Guard) step(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found := g.options.Store.Identity()
	if found.Lineage == "" {
		if _, err := g.options.Store.Look(limited); err != nil {
			return err
		}
		found = g.options.Store.Identity() // another replica may have begun or restored it
	}
	remembered, object, err := g.record.read(limited)
	if err != nil {
		return g.unasked(err)
	}
	action, why := Judge(found, remembered)
	switch action {
	case Begin:
		if err := g.options.Store.Begin(limited); err != nil {
			return err
		}
		g.options.Log.Info("a new store is begun", "event", "storeBegun", "lineage", g.options.Store.Identity().Lineage, "givenUp", remembered.Lineage)
	case Restore:
		if err := g.restoreSecret(ctx, remembered); err != nil {
			return fmt.Errorf("there is no store, and it could not be restored from Secret %s/%s: %w", g.options.Namespace, remembered.Restore, err)
		}
	case Refuse:
		if object == nil { // where the way out is said
			if err := g.record.write(limited, remembered.Identity, remembered.Where, nil); err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return errors.New(refusal(why, g.options.Where, found, remembered, g.options.Namespace))
	}
	return g.remember(ctx, remembered, object)
}

// unasked tells of a host cluster that does not answer. What was accepted stays so.
func (g *Guard) unasked(err error) error {
	select {
	case <-g.accepted:
		if before := g.Err(); before == nil {
			g.options.Log.Debug("what the cluster remembers of the store cannot be read", "event", "lineageUnread", "error", err)
			return nil
		}
	default:
	}
	return fmt.Errorf("%w: %w", errUnasked, err)
}

// remember records the store as it is now. That another replica was faster is no error: it is looked at again.
func (g *Guard) remember(ctx context.Context, before Remembered, object *corev1.ConfigMap) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	now := g.options.Store.Identity()
	if object != nil && before.Identity == now && before.GiveUp == "" && before.Restore == "" && (before.Where == g.options.Where || g.Err() == nil) {
		return nil // replicas do not write over what another says of where it is
	}
	err := g.record.write(ctx, now, g.options.Where, object)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return g.unasked(err)
	}
	return err
}

// restoreSecret fills the store from a Secret.
func (g *Guard) restoreSecret(ctx context.Context, r Remembered) error {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c, err := g.Load(limited, r.Restore)
	if err != nil {
		return err
	}
	return g.restore(ctx, c, r)
}

// Load reads the export in a Secret, of one of the names that exports have: no others may be read.
func (g *Guard) Load(ctx context.Context, name string) (*export.Content, error) {
	if name != export.SecretName && name != export.PreviousName {
		return nil, fmt.Errorf("exports are in %s and %s; one that is elsewhere is restored by \"apiserver restore --from-file\"", export.SecretName, export.PreviousName)
	}
	get := func(name string) (*corev1.Secret, error) {
		return g.options.Client.CoreV1().Secrets(g.options.Namespace).Get(ctx, name, metav1.GetOptions{})
	}
	head, err := get(name)
	if err != nil {
		return nil, err
	}
	return export.Unpack(head, get)
}

// Restore fills the store with an export, for an administrator. It is an error where there is a store, or where the cluster
// remembers one of another lineage: where that is given up, a new store is begun at once.
func (g *Guard) Restore(ctx context.Context, c *export.Content) error {
	g.doing.Lock()
	defer g.doing.Unlock()
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	remembered, object, err := g.record.read(limited)
	if err != nil {
		return err
	}
	if err := g.restore(ctx, c, remembered); err != nil {
		return err
	}
	err = g.remember(ctx, remembered, object)
	g.set(ctx, err)
	return err
}

func (g *Guard) restore(ctx context.Context, c *export.Content, r Remembered) error {
	if r.Lineage != "" && c.Lineage != r.Lineage {
		return fmt.Errorf("the export is of lineage %s, the cluster's is %s: begin anew (annotation %s of ConfigMap %s), and apply what is before the line %q of the export",
			c.Lineage, r.Lineage, GiveUpAnnotation, ConfigMapName, export.Cut)
	}
	began := time.Now()
	if err := g.options.Store.Restore(ctx, c); err != nil {
		return err
	}
	g.options.Log.Info("the store is restored", "event", "storeRestored", "lineage", c.Lineage, "taken", c.Taken, "objects", len(c.Objects),
		"seconds", time.Since(began).Seconds())
	g.tell(ctx, corev1.EventTypeNormal, "StoreRestored", fmt.Sprintf("%d objects, of an export of %s", len(c.Objects), c.Taken.Format(time.RFC3339)))
	return nil
}

// set takes in a judgement, and tells of it if it is news.
func (g *Guard) set(ctx context.Context, err error) {
	g.mu.Lock()
	before := g.err
	g.err = err
	g.mu.Unlock()
	if err == nil {
		g.once.Do(func() { close(g.accepted) })
	}
	if (before == nil) == (err == nil) && (err == nil || before.Error() == err.Error()) {
		return
	}
	if g.options.Changed != nil {
		g.options.Changed()
	}
	switch {
	case err == nil:
		g.options.Log.Info("the store is the cluster's", "event", "storeAccepted", "lineage", g.options.Store.Identity().Lineage)
	case errors.Is(err, errUnasked):
		g.options.Log.Warn("the store is not known to be the cluster's", "event", "storeUnknown", "error", err)
	default:
		g.options.Log.Error("the store is refused", "event", "storeRefused", "error", err)
		g.tell(ctx, corev1.EventTypeWarning, "StoreRefused", err.Error())
	}
}

// Tell writes a Warning beside the ConfigMap, for an administrator.
func (g *Guard) Tell(ctx context.Context, reason, message string) {
	g.tell(ctx, corev1.EventTypeWarning, reason, message)
}

// tell writes an event. Where that fails, the log has it.
func (g *Guard) tell(ctx context.Context, kind, reason, message string) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := g.record.event(ctx, kind, reason, message); err != nil {
		g.options.Log.Debug("no event", "error", err)
	}
}
