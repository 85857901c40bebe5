package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/apiserver/export/keeper"
)

// RestoreResponse says what was restored.
type RestoreResponse struct {
	Lineage string    `json:"lineage"`
	Taken   time.Time `json:"taken"`
	Objects int       `json:"objects"`
}

// storeKeeper exports and restores the store of a process, for an administrator.
type storeKeeper struct {
	process *process
}

// restoreTimeout bounds a restoration, and what an administrator waits for.
const restoreTimeout = 5 * time.Minute

// export answers with the file.
func (a *admin) export(w http.ResponseWriter, r *http.Request) {
	keeper := a.keeper.Load()
	if keeper == nil || keeper.process.store.Lineage() == "" {
		reply(w, http.StatusServiceUnavailable, adminError{"there is no store yet"})
		return
	}
	c, err := keeper.process.exported(r.Context())
	if err != nil {
		reply(w, http.StatusInternalServerError, adminError{err.Error()})
		return
	}
	var file bytes.Buffer
	if _, err := c.WriteTo(&file); err != nil {
		reply(w, http.StatusInternalServerError, adminError{err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(file.Bytes()) // the client is gone otherwise
}

// exported is the store's content, with the version of the program.
func (p *process) exported(ctx context.Context) (*export.Content, error) {
	c, err := p.store.Export(ctx)
	if err != nil {
		return nil, err
	}
	c.By = p.options.Version
	return c, nil
}

// keepExport keeps the export in the Secrets current, as far as --export-interval wants that.
func (p *process) keepExport(ctx context.Context) error {
	if p.options.ExportInterval == 0 {
		p.readiness.fail(partExport, nil)
		return nil
	}
	kept := keeper.New(keeper.Options{
		Secrets: p.kube.CoreV1().Secrets(p.options.Namespace), Namespace: p.options.Namespace, Store: exporter{p}, Replica: p.options.ID,
		Interval: p.options.ExportInterval, Event: p.lineage.Tell, Log: p.log,
	})
	registry := prometheus.NewRegistry()
	if err := registry.Register(kept); err != nil {
		return fmt.Errorf("metrics of the export: %w", err)
	}
	p.monitor.export.Store(registry)
	p.readiness.set(partExport, kept.Err)
	p.group.Go(func() error {
		select { // what is not the cluster's must not take the place of what is
		case <-p.lineage.Accepted():
			kept.Run(ctx)
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	return nil
}

// exporter is the store as its keeper needs it.
type exporter struct{ *process }

// Leader implements keeper.Store.
func (e exporter) Leader(ctx context.Context) (string, int64, error) { return e.store.Leader(ctx) }

// Export implements keeper.Store. A store that is refused is not exported.
func (e exporter) Export(ctx context.Context) (*export.Content, error) {
	if err := e.lineage.Err(); err != nil {
		return nil, err
	}
	return e.exported(ctx)
}

// ExportChanged implements keeper.Store.
func (e exporter) ExportChanged(ctx context.Context) <-chan struct{} {
	return e.store.ExportChanged(ctx)
}

// restore fills the store with the file in the body, or with that of a Secret.
func (a *admin) restore(w http.ResponseWriter, r *http.Request) {
	keeper := a.keeper.Load()
	if keeper == nil {
		reply(w, http.StatusServiceUnavailable, adminError{"the store is not open yet"})
		return
	}
	c, err := keeper.read(w, r)
	if err != nil {
		reply(w, http.StatusBadRequest, adminError{err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), restoreTimeout)
	defer cancel()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(restoreTimeout)); err != nil {
		reply(w, http.StatusInternalServerError, adminError{err.Error()})
		return
	}
	if err := keeper.process.lineage.Restore(ctx, c); err != nil {
		reply(w, http.StatusConflict, adminError{err.Error()})
		return
	}
	reply(w, http.StatusOK, RestoreResponse{Lineage: c.Lineage, Taken: c.Taken, Objects: len(c.Objects)})
}

func (k *storeKeeper) read(w http.ResponseWriter, r *http.Request) (*export.Content, error) {
	if name := r.URL.Query().Get("secret"); name != "" {
		return k.process.lineage.Load(r.Context(), name)
	}
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, export.MaxFile))
	if err != nil {
		return nil, fmt.Errorf("read the export: %w", err)
	}
	return export.ReadCompressed(file)
}

// Export asks the process behind a socket for the file of its store.
func Export(ctx context.Context, socket string) ([]byte, error) {
	return ask(ctx, socket, http.MethodGet, "/v1/export", nil, restoreTimeout)
}

// Restore asks the process behind a socket to fill its store with a file, or with that of a Secret.
func Restore(ctx context.Context, socket, secret string, file []byte) (answer RestoreResponse, err error) {
	path := "/v1/restore"
	if secret != "" {
		path += "?secret=" + url.QueryEscape(secret)
	}
	data, err := ask(ctx, socket, http.MethodPost, path, file, restoreTimeout)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}
