// Package registration keeps the ValidatingWebhookConfiguration that is shipped in line with --lb-class: it has the
// kube-apiserver ask about Services of our class. Whom to trust is for whoever issues our certificate to put in, and
// everything else in it is for those who install it to say.
package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Name is that of the ValidatingWebhookConfiguration.
const Name = "ingot-webhooks"

const (
	checkInterval  = 2 * time.Minute // how often it is compared even if nothing is heard to have changed
	requestTimeout = 5 * time.Second
)

// Options say what to keep.
type Options struct {
	Client kubernetes.Interface
	// Service and its namespace: webhooks that call another one are left alone.
	Service, Namespace string
	// Class of the Services to be asked about; empty: those without one.
	Class string
	Log   *slog.Logger
}

// Keep keeps it right until ctx ends, and leaves it behind: other replicas serve, or this one comes back.
func Keep(ctx context.Context, o Options) {
	retry, last := backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}, ""
	for ctx.Err() == nil {
		err := o.cycle(ctx)
		switch {
		case err == nil:
			retry.Reset()
			last = ""
		case ctx.Err() == nil && err.Error() != last:
			last = err.Error()
			o.Log.Warn("the registration cannot be kept", "event", "registrationNotKept", "error", err)
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

// cycle returns when the object may have changed, or after some minutes. The watch begins before the comparison, so that
// no change falls between the two.
func (o Options) cycle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkInterval)
	defer cancel()
	w, err := o.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, Name).String(),
	})
	if err != nil {
		return fmt.Errorf("watch ValidatingWebhookConfiguration %s: %w", Name, err)
	}
	defer w.Stop()
	if err := o.reconcile(ctx); err != nil {
		return err
	}
	for {
		select {
		case ev, open := <-w.ResultChan():
			if !open || ev.Type == watch.Error {
				return nil
			}
			if found, ok := ev.Object.(*admissionv1.ValidatingWebhookConfiguration); ok && ev.Type != watch.Deleted && len(o.wrong(found)) > 0 {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// OfOurClass is the name of the match condition that tells Services of our class. Whoever takes it out, or calls it
// otherwise, is asked about what the conditions say that are left.
const OfOurClass = "of-our-class"

// ClassCondition is its expression, for a loadBalancerClass; empty: for Services without one.
func ClassCondition(class string) string {
	if class == "" {
		return "!has(object.spec.loadBalancerClass)"
	}
	return fmt.Sprintf("has(object.spec.loadBalancerClass) && object.spec.loadBalancerClass == %q", class)
}

// reconcile puts right what is wrong. Where there is no such object nobody wants to be asked.
func (o Options) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	configurations := o.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	found, err := configurations.Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ValidatingWebhookConfiguration %s: %w", Name, err)
	}
	wrong := o.wrong(found)
	if len(wrong) == 0 {
		return nil
	}
	patch := struct {
		Webhooks []correction `json:"webhooks"`
	}{wrong}
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding the corrections: %w", err)
	}
	if _, err := configurations.Patch(ctx, Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("patch ValidatingWebhookConfiguration %s: %w", Name, err)
	}
	for _, c := range wrong {
		o.Log.Info("the kube-apiserver knows our class", "event", "registrationUpdated", "webhook", c.Name)
	}
	return nil
}

// correction is what a webhook of the configuration should say, in a strategic merge patch: webhooks and their match
// conditions are found by name.
type correction struct {
	Name       string                       `json:"name"`
	Conditions []admissionv1.MatchCondition `json:"matchConditions"`
}

// managedBy is the label by which Helm marks what a release has. Such a configuration says what the values say: while a class
// changes, Pods of the old one are still there, and a field that they write is a conflict to the next upgrade.
const managedBy, helm = "app.kubernetes.io/managed-by", "Helm"

// wrong is what the webhooks that call us should say and do not.
func (o Options) wrong(configuration *admissionv1.ValidatingWebhookConfiguration) (all []correction) {
	if configuration.Labels[managedBy] == helm {
		return nil
	}
	class := ClassCondition(o.Class)
	for i := range configuration.Webhooks {
		w := &configuration.Webhooks[i]
		to := w.ClientConfig.Service
		if to == nil || to.Name != o.Service || to.Namespace != o.Namespace {
			continue
		}
		c := correction{Name: w.Name}
		for _, condition := range w.MatchConditions {
			if condition.Name == OfOurClass && condition.Expression != class {
				c.Conditions = append(c.Conditions, admissionv1.MatchCondition{Name: OfOurClass, Expression: class})
			}
		}
		if c.Conditions != nil {
			all = append(all, c)
		}
	}
	return all
}
