package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Adopt says an operator's word: that this store is to be obeyed by speakers that obey another, and that what
// was held back is meant. It supersedes the foreign lineages that connected speakers say they obey, those in extra,
// and those of earlier adoptions. It returns all of them, sorted; speakers obey as soon as the next update reaches them.
// Speakers that are not connected now may obey a lineage that is not among them: they need the word again.
func (h *Hub) Adopt(ctx context.Context, extra []string) ([]string, error) {
	own := h.store.Lineage()
	foreign := map[string]bool{}
	for _, lineage := range slices.Concat(h.nodes.lineages(), extra) {
		if lineage != "" && lineage != own {
			foreign[lineage] = true
		}
	}
	adoption, err := h.store.Adopt(ctx, slices.Sorted(maps.Keys(foreign)))
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	h.log.Warn("this store was adopted", "event", "adopted", "lineage", own, "supersedes", adoption.Supersedes, "adoption", adoption.TimeMs)
	h.engine.setAdoption(adoption)
	return slices.Sorted(slices.Values(adoption.Supersedes)), nil
}
