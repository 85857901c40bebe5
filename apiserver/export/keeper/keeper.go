// Package keeper keeps an export of the store in Secrets of the system namespace, in the replica that leads.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Store is what is exported.
type Store interface {
	// Leader says who leads, and in which epoch.
	Leader(ctx context.Context) (replica string, epoch int64, err error)
	Export(ctx context.Context) (*export.Content, error)
	// ExportChanged receives when the store may have changed; it is closed when ctx ends.
	ExportChanged(ctx context.Context) <-chan struct{}
}

// Options say what is kept where.
type Options struct {
	Secrets corev1client.SecretInterface
	// Events tells of what an administrator has to mend.
	Event     func(ctx context.Context, reason, message string)
	Namespace string
	Store     Store
	// Replica is this one's name: it exports while it leads.
	Replica string
	// Interval is how long exports are apart, at least.
	Interval time.Duration
	Log      *slog.Logger
}

// Keeper keeps the export current. It is a prometheus.Collector.
type Keeper struct {
	options Options
	settle  time.Duration
	retry   backoff.Backoff

	mu     sync.Mutex
	err    error
	about  *export.About // of the export that is known to be current, or was
	proven time.Time     // when it last was
	failed int
}

// settleTime is how long a burst of changes may go on, before it is looked at.
const settleTime = 5 * time.Second

// New returns a keeper that does nothing until Run.
func New(o Options) *Keeper {
	return &Keeper{options: o, settle: min(settleTime, o.Interval), retry: backoff.Backoff{First: 2 * time.Second, Most: 5 * time.Minute}}
}

// Err says why the export is not current; nil where it is, or another replica sees to it.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Run exports after changes, and looks at every interval whether the export is what it should be, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	changed := k.options.Store.ExportChanged(ctx)
	for {
		if !k.await(ctx, changed) || backoff.Sleep(ctx, k.settle) != nil {
			return
		}
		began := time.Now()
		for {
			select { // what came so far is in it
			case <-changed:
			default:
			}
			err := k.Step(ctx)
			if ctx.Err() != nil {
				return
			}
			k.note(ctx, err)
			if err == nil {
				k.retry.Reset()
				break
			}
			if k.retry.Wait(ctx) != nil {
				return
			}
		}
		if backoff.Sleep(ctx, k.options.Interval-k.settle-time.Since(began)) != nil {
			return
		}
	}
}

// await returns when something changed, or an interval is over, and says whether ctx is alive.
func (k *Keeper) await(ctx context.Context, changed <-chan struct{}) bool {
	regular := time.NewTimer(k.options.Interval + rand.N(k.options.Interval/10+1))
	defer regular.Stop()
	select {
	case <-changed:
	case <-regular.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// stepTimeout bounds one export.
const stepTimeout = time.Minute

// Step exports once, if this replica leads and the Secret has something else.
func (k *Keeper) Step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	leader, epoch, err := k.options.Store.Leader(ctx)
	if err != nil {
		return err
	}
	if leader != k.options.Replica {
		k.is(nil)
		return nil
	}
	head, err := k.get(ctx, export.SecretName)
	if err != nil {
		return err
	}
	content, err := k.options.Store.Export(ctx)
	if err != nil {
		return err
	}
	content.Epoch = epoch
	if done, err := k.current(ctx, head, content); done || err != nil {
		return err
	}
	return k.write(ctx, head, content)
}

// current says whether the Secret has content already, or that of a later leader.
func (k *Keeper) current(ctx context.Context, head *corev1.Secret, content *export.Content) (bool, error) {
	if head == nil {
		return false, nil
	}
	about, err := export.AboutOf(head)
	if err != nil {
		k.options.Log.Warn("the export is damaged, and made anew", "event", "exportDamaged", "error", err)
		return false, nil
	}
	if about.Lineage == content.Lineage && about.Epoch > content.Epoch {
		return true, nil // this replica does not lead any more
	}
	if about.Content != content.Digest() {
		return false, nil
	}
	if _, err := export.Unpack(head, func(name string) (*corev1.Secret, error) {
		return k.options.Secrets.Get(ctx, name, metav1.GetOptions{})
	}); err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		k.options.Log.Warn("the export is damaged, and made anew", "event", "exportDamaged", "error", err)
		return false, nil
	}
	k.is(about)
	return true, nil
}

// write replaces the export: the one that is there becomes the previous one, then the parts are written, then the head. So
// at every moment the head is that of a whole export.
func (k *Keeper) write(ctx context.Context, before *corev1.Secret, content *export.Content) error {
	parts, head, err := export.Pack(content, k.options.Namespace, map[string]string{"app": "metallb"}, before)
	if err != nil {
		return err
	}
	if before != nil {
		previous := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: export.PreviousName, Namespace: before.Namespace, Labels: before.Labels},
			Type:       before.Type, Data: before.Data,
		}
		if err := k.put(ctx, previous, nil); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if err := k.put(ctx, part, nil); err != nil {
			return err
		}
	}
	if err := k.put(ctx, head, before); err != nil {
		return err
	}
	about, err := export.AboutOf(head)
	if err != nil {
		return err
	}
	k.is(about)
	k.options.Log.Info("the store is exported", "event", "exported", "secret", k.options.Namespace+"/"+export.SecretName,
		"objects", about.Objects, "bytes", about.Size, "parts", 1+len(about.Parts))
	return nil
}

func (k *Keeper) get(ctx context.Context, name string) (*corev1.Secret, error) {
	found, err := k.options.Secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get Secret %s/%s: %w", k.options.Namespace, name, err)
	}
	return found, nil
}

// put makes a Secret what it should be. With before, it must not have changed since that was read.
func (k *Keeper) put(ctx context.Context, secret, before *corev1.Secret) error {
	found := before
	var err error
	if found == nil {
		if found, err = k.get(ctx, secret.Name); err != nil {
			return err
		}
	}
	if found == nil {
		_, err = k.options.Secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		changed := found.DeepCopy()
		changed.Data, changed.StringData = secret.Data, nil
		_, err = k.options.Secrets.Update(ctx, changed, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", k.options.Namespace, secret.Name, err)
	}
	return nil
}

// is notes what the Secret has now; nil: another replica sees to it.
func (k *Keeper) is(about *export.About) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.about, k.proven = about, time.Now()
}

// note tells of what came of an attempt, if it is news.
func (k *Keeper) note(ctx context.Context, err error) {
	k.mu.Lock()
	before := k.err
	k.err = err
	if err != nil {
		k.failed++
	}
	k.mu.Unlock()
	if err == nil || before != nil && before.Error() == err.Error() {
		return
	}
	k.options.Log.Warn("the store could not be exported; the export before stays", "event", "exportFailed", "error", err)
	if errors.Is(err, export.ErrTooLarge) && !errors.Is(before, export.ErrTooLarge) {
		k.options.Event(ctx, "ExportTooLarge", err.Error()+"; the export before stays. Take backups of etcd, or by \"apiserver export\", and set --export-interval=0")
	}
}

// The metrics.
var (
	provenDesc = prometheus.NewDesc("ingot_export_current_timestamp_seconds", "When the export in the Secret was last found or made current, in seconds since 1970; not by replicas that do not lead.", nil, nil)
	takenDesc  = prometheus.NewDesc("ingot_export_taken_timestamp_seconds", "When the export in the Secret was taken, in seconds since 1970; not by replicas that do not lead.", nil, nil)
	sizeDesc   = prometheus.NewDesc("ingot_export_size_bytes", "Size of the export in the Secret, compressed; not by replicas that do not lead.", nil, nil)
	failedDesc = prometheus.NewDesc("ingot_export_failed_total", "Attempts to export the store that failed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (k *Keeper) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{provenDesc, takenDesc, sizeDesc, failedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(k.failed))
	if k.about == nil {
		return
	}
	for desc, value := range map[*prometheus.Desc]float64{
		provenDesc: float64(k.proven.Unix()), takenDesc: float64(k.about.Taken.Unix()), sizeDesc: float64(k.about.Size),
	} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}
