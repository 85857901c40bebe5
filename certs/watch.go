package certs

import (
	"context"
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// watched is one object that is kept right.
type watched struct {
	what string
	name string
	open func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// watched are the objects whose changes reconcile is to see at once.
func (k *Keeper) watched() []watched {
	core := k.options.Client.CoreV1()
	all := []watched{
		{"Secret", ObjectName, core.Secrets(k.options.Namespace).Watch},
		{"ConfigMap", ObjectName, core.ConfigMaps(k.options.Namespace).Watch},
	}
	if k.options.Webhooks != "" {
		all = append(all,
			watched{"Secret", SecretOf(k.options.Webhooks), core.Secrets(k.options.Namespace).Watch},
			watched{"ValidatingWebhookConfiguration", WebhookConfiguration, k.options.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Watch})
	}
	return all
}

// follow has changed receive whenever the object changed, or may have, until ctx ends. What happens while there is no watch
// is not missed: a new one begins with the object as it is.
func (w watched) follow(ctx context.Context, changed chan<- struct{}, log *slog.Logger) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // due already
		}
	}
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, w.name).String()}
	for retry, last := retries(), ""; ctx.Err() == nil; {
		events, err := w.open(ctx, options)
		if err == nil {
			last = ""
			tell()
			stop := context.AfterFunc(ctx, events.Stop)
			for range events.ResultChan() {
				retry.Reset()
				tell()
			}
			stop()
			events.Stop()
		} else if err.Error() != last && ctx.Err() == nil {
			last = err.Error()
			log.Warn("changes are seen late", "event", "notWatched", "kind", w.what, "name", w.name, "error", err)
		}
		if retry.Wait(ctx) != nil {
			return
		}
	}
}
