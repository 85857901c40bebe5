package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/controller/report"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// reportPause is the least time between two reports.
const reportPause = time.Second

// mostReported bounds the errors of a report.
const mostReported = 50

// dueReport has what was made of the configuration reported soon, if it is news.
func (c *Controller) dueReport() {
	select {
	case c.reportDue <- struct{}{}:
	default: // due already
	}
}

// keepReport says in the Lease what was made of the configuration, whenever that has changed, until ctx ends. Without a
// Lease there is nowhere to say it.
func (c *Controller) keepReport(ctx context.Context) {
	if c.Identity == "" {
		return
	}
	retry := backoff.Backoff{First: reportPause, Most: 30 * time.Second}
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.reportDue:
		}
		text, err := c.report()
		if err == nil && text != said {
			err = c.writeReport(ctx, text)
		}
		if err == nil {
			said = text
			retry.Reset()
			if backoff.Sleep(ctx, reportPause) != nil {
				return
			}
			continue
		}
		c.Log.Warn("could not report on the configuration, will try again", "op", "report", "error", err)
		c.dueReport()
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

func (c *Controller) report() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshPools()
	r := report.Report{Holder: c.Identity}
	for _, err := range c.book.unusable {
		r.Errors = append(r.Errors, err.Error())
	}
	slices.Sort(r.Errors)
	r.Errors = r.Errors[:min(len(r.Errors), mostReported)]
	return r.Encode()
}

func (c *Controller) writeReport(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{report.Annotation: text}}})
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	_, err = c.Client.CoordinationV1().Leases(c.Namespace).Patch(ctx, report.Lease, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("annotate Lease %s: %w", report.Lease, err)
	}
	return nil
}
