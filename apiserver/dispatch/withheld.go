package dispatch

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
)

// maxWithheldLines bounds what one plan may say in the log of what it withholds.
const maxWithheldLines = 50

// newlyWithheld lists what after withholds that before did not.
func newlyWithheld(before, after *plan.Output) (fresh []plan.Withheld) {
	known := map[plan.Withheld]bool{}
	if before != nil {
		for _, w := range before.Withheld {
			known[w] = true
		}
	}
	for _, w := range after.Withheld {
		if !known[w] {
			fresh = append(fresh, w)
		}
	}
	return fresh
}

// logWithheld says what is withheld; users ask why. What is wrong with the configuration is a warning, since somebody
// has to put it right.
func logWithheld(log *slog.Logger, fresh []plan.Withheld) {
	for _, w := range fresh[:min(len(fresh), maxWithheldLines)] {
		attrs := []any{"event", "notAnnounced", "kind", string(w.Kind), "name", w.Name.String(), "reason", string(w.Reason)}
		if w.Address.IsValid() {
			attrs = append(attrs, "ip", w.Address.String())
		}
		if w.Protocol != "" {
			attrs = append(attrs, "protocol", string(w.Protocol))
		}
		if w.Node != "" {
			attrs = append(attrs, "node", w.Node)
		}
		level := slog.LevelInfo
		if configures(w.Kind) {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, w.Message, attrs...)
	}
	if more := len(fresh) - maxWithheldLines; more > 0 {
		log.Info("more is not announced", "event", "notAnnounced", "more", more)
	}
}

// configures says whether objects of a kind are configuration, as opposed to what is announced, and where.
func configures(kind plan.Kind) bool { return kind != plan.KindService && kind != plan.KindNode }

// objectOf refers to the configuration object that something is withheld of; ok is false where that is none, or gone.
func objectOf(config *metallb.Configuration, w plan.Withheld) (ref corev1.ObjectReference, ok bool) {
	find := func(version string, meta *metav1.ObjectMeta) {
		if meta.Name == w.Name.Name {
			ref, ok = corev1.ObjectReference{
				APIVersion: metallb.GroupName + "/" + version, Kind: string(w.Kind),
				Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
			}, true
		}
	}
	switch w.Kind {
	case plan.KindBGPPeer:
		for _, p := range config.BGPPeers {
			find("v1beta2", &p.ObjectMeta)
		}
	case plan.KindIPAddressPool:
		for _, p := range config.IPAddressPools {
			find("v1beta1", &p.ObjectMeta)
		}
	case plan.KindAddressPool:
		for _, p := range config.AddressPools {
			find("v1beta1", &p.ObjectMeta)
		}
	case plan.KindBGPAdvertisement:
		for _, a := range config.BGPAdvertisements {
			find("v1beta1", &a.ObjectMeta)
		}
	case plan.KindL2Advertisement:
		for _, a := range config.L2Advertisements {
			find("v1beta1", &a.ObjectMeta)
		}
	}
	return ref, ok
}
