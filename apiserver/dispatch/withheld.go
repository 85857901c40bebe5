package dispatch

import (
	"log/slog"

	"github.com/ingot-lb/ingot/apiserver/plan"
)

// maxWithheldLines bounds what one plan may say in the log of what it withholds.
const maxWithheldLines = 50

// logWithheld says what after withholds that before did not; users ask why.
func logWithheld(log *slog.Logger, before *plan.Output, after *plan.Output) {
	known := map[plan.Withheld]bool{}
	if before != nil {
		for _, w := range before.Withheld {
			known[w] = true
		}
	}
	lines := 0
	for _, w := range after.Withheld {
		if known[w] {
			continue
		}
		if lines++; lines > maxWithheldLines {
			continue
		}
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
		log.Info(w.Message, attrs...)
	}
	if lines > maxWithheldLines {
		log.Info("more is not announced", "event", "notAnnounced", "more", lines-maxWithheldLines)
	}
}
